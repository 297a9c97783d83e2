/** A tokenizer's regular expression (Oniguruma's, over Unicode) as one of JavaScript. */
import { GlimtError } from "../../errors.ts";

/** Classes that are Unicode's there, and narrower or wider in JavaScript. */
const CLASSES: Readonly<Record<string, string>> = {
  s: "\\p{White_Space}",
  S: "\\P{White_Space}",
  d: "\\p{Nd}",
  D: "\\P{Nd}",
};

/** `\\w`, within brackets. */
const WORD = "\\p{L}\\p{M}\\p{N}\\p{Pc}";

const SYNTAX = /[\^$\\.*+?()[\]{}|/]/;

/** @throws TOKENIZER_INVALID for an expression that has no like in JavaScript */
export function searchPattern(pattern: unknown): RegExp {
  const { Regex: source, String: text } = (pattern ?? {}) as { Regex?: unknown; String?: unknown };
  if (typeof text === "string") return new RegExp(text.replace(new RegExp(SYNTAX, "g"), "\\$&"), "gu");
  if (typeof source !== "string") {
    throw new GlimtError("TOKENIZER_INVALID", "tokenizer.json: a Split has no pattern.");
  }
  try {
    return new RegExp(translated(withoutCaseGroups(source)), "gu");
  } catch (cause) {
    throw new GlimtError(
      "TOKENIZER_INVALID",
      `tokenizer.json: the pattern ${JSON.stringify(source)} can not be read: ${(cause as Error).message}`,
      { cause },
    );
  }
}

/** `(?i:...)` of plain letters, spelt out: not every runtime knows it. Two letters have a third form in Unicode. */
function withoutCaseGroups(source: string): string {
  return source.replace(/\(\?i:([^()[\]\\]*)\)/g, (_, inner: string) => {
    const spelt = inner.replace(/\p{L}/gu, (letter) => {
      const forms = new Set([letter, letter.toLowerCase(), letter.toUpperCase()]);
      if (/s/i.test(letter)) forms.add("\u017f");
      if (/k/i.test(letter)) forms.add("\u212a");
      return forms.size === 1 ? letter : `[${[...forms].join("")}]`;
    });
    return `(?:${spelt})`;
  });
}

/** Lines end at a newline alone there, and every `^` and `$` is about lines. */
const LINES: Readonly<Record<string, string>> = { "^": "(?:^|(?<=\\n))", $: "(?:$|(?=\\n))", ".": "[^\\n]" };

function translated(source: string): string {
  let isClass = false;
  return source.replace(/\\(.)|\[\^?|[\]^$.]/gsu, (found, character: string | undefined) => {
    if (character === undefined) {
      const wasClass = isClass;
      if (found !== "." && found !== "^" && found !== "$") isClass = found !== "]";
      return wasClass ? found : (LINES[found] ?? found);
    }
    const known = CLASSES[character];
    if (known !== undefined) return known;
    if (character === "w") return isClass ? WORD : `[${WORD}]`;
    if (character === "W" && !isClass) return `[^${WORD}]`;
    // Escapes that mean the character itself are errors in JavaScript's Unicode mode.
    if (/[\p{L}\p{N}-]/u.test(character) || SYNTAX.test(character)) return found;
    return character;
  });
}
