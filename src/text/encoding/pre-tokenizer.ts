/** Cuts text into the words that are merged each by itself, as tokenizer.json says. */
import { GlimtError } from "../../errors.ts";
import { searchPattern } from "./pattern.ts";

/** Words of a text, in order; joined they are the text (with a blank before it where the tokenizer puts one). */
export type PreTokenizer = (text: string) => Iterable<string>;

interface Step {
  readonly type?: unknown;
  readonly pretokenizers?: unknown;
  readonly pattern?: unknown;
  readonly behavior?: unknown;
  readonly add_prefix_space?: unknown;
  readonly use_regex?: unknown;
}

/** GPT-2's, which ByteLevel uses unless it is told not to. */
const BYTE_LEVEL_PATTERN = {
  Regex: "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
};

/** @throws TOKENIZER_INVALID for steps that GLM tokenizers do not have */
export function preTokenizer(json: unknown): PreTokenizer {
  const steps = stepsOf(json);
  if (steps.filter(({ type }) => type === "ByteLevel").length !== 1 || steps.at(-1)?.type !== "ByteLevel") {
    throw unsupported("no ByteLevel step at its end");
  }
  const cuts = steps.map(cutOf);
  return (text) => cuts.reduce<Iterable<string>>((pieces, cut) => flatMap(pieces, cut), [text]);
}

function stepsOf(json: unknown): Step[] {
  const step = (json ?? {}) as Step;
  if (step.type !== "Sequence") return [step];
  if (!Array.isArray(step.pretokenizers)) throw unsupported("a Sequence without pretokenizers");
  return step.pretokenizers.flatMap(stepsOf);
}

function cutOf({ type, pattern, behavior, add_prefix_space, use_regex }: Step): PreTokenizer {
  if (type === "Split") {
    if (behavior !== "Isolated") throw unsupported(`a Split whose behavior is ${JSON.stringify(behavior)}`);
    const search = searchPattern(pattern);
    return (text) => isolated(text, search);
  }
  if (type !== "ByteLevel") throw unsupported(`a step ${JSON.stringify(type)}`);
  const search = use_regex === false ? null : searchPattern(BYTE_LEVEL_PATTERN);
  return (text) => {
    const spaced = add_prefix_space !== false && !text.startsWith(" ") ? ` ${text}` : text;
    return search ? isolated(spaced, search) : [spaced];
  };
}

/** What matches and what lies between, each by itself. */
function* isolated(text: string, pattern: RegExp): Generator<string> {
  // Own state: another text may be cut while this one waits.
  const search = new RegExp(pattern);
  let end = 0;
  for (let match = search.exec(text); match !== null; match = search.exec(text)) {
    const [found] = match;
    if (match.index > end) yield text.slice(end, match.index);
    if (found !== "") yield found;
    end = match.index + found.length;
    if (found === "") search.lastIndex += (text.codePointAt(end) ?? 0) > 0xffff ? 2 : 1;
  }
  if (end < text.length) yield text.slice(end);
}

function* flatMap(pieces: Iterable<string>, cut: PreTokenizer): Generator<string> {
  for (const piece of pieces) yield* cut(piece);
}

function unsupported(what: string): GlimtError {
  return new GlimtError(
    "TOKENIZER_INVALID",
    `tokenizer.json: its pre_tokenizer has ${what}; those of GLM models split by patterns ("Isolated"), then ByteLevel.`,
  );
}
