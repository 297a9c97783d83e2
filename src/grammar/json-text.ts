/** JSON as rules: white space, strings, numbers, and values as they are. */
import { ANY, type CodePoints, charactersOf, codePoints, includes, minus } from "./code-points.ts";
import { chars, choice, named, optional, type Rule, repeat, sequence, text } from "./rule.ts";

const ESCAPES: Readonly<Record<string, string>> = {
  '"': '\\"',
  "\\": "\\\\",
  "\b": "\\b",
  "\f": "\\f",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
};
const CONTROLS = codePoints([0, 0x1f]);
const MUST_ESCAPE = charactersOf(Object.keys(ESCAPES).join(""));
/** Digits in front of the point, behind it, and of an exponent: nothing that JSON.parse makes infinite. */
const MOST_DIGITS = 30;
const MOST_EXPONENT_DIGITS = 2;
/** White space behind a line break. */
const MOST_INDENT = 40;

/** A character of the set inside a JSON string: as it is, or by its short escape where JSON asks for one. */
export function inString(set: CodePoints): Rule {
  const plain = minus(minus(set, CONTROLS), MUST_ESCAPE);
  const escaped = Object.entries(ESCAPES).flatMap(([character, short]) =>
    includes(set, character.charCodeAt(0)) ? [text(short)] : [],
  );
  // Other control characters have no short escape, and no text needs them.
  return choice(chars(plain), ...escaped);
}

export const quoted = (content: Rule): Rule => sequence(text('"'), content, text('"'));

const digits = (least: number, most: number) => repeat(chars(codePoints([0x30, 0x39])), least, most);
const WHOLE = choice(text("0"), sequence(chars(codePoints([0x31, 0x39])), digits(0, MOST_DIGITS - 1)));
const SIGN = optional(text("-"));

/** Rules that every grammar of JSON may name. */
export const JSON_RULES: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  // One space, or a line break and what indents the next line: white space without end is a loop that models fall into.
  [
    "json space",
    optional(choice(text(" "), sequence(text("\n"), repeat(chars(charactersOf(" \t")), 0, MOST_INDENT)))),
  ],
  ["json character", inString(ANY)],
  ["json string", quoted(repeat(named("json character"), 0, Number.POSITIVE_INFINITY))],
  ["json integer", sequence(SIGN, WHOLE)],
  [
    "json number",
    sequence(
      SIGN,
      WHOLE,
      optional(sequence(text("."), digits(1, MOST_DIGITS))),
      optional(
        sequence(
          chars(charactersOf("eE")),
          optional(chars(charactersOf("+-"))),
          digits(1, MOST_EXPONENT_DIGITS),
        ),
      ),
    ),
  ],
  ["json boolean", choice(text("true"), text("false"))],
  ["json null", text("null")],
  ["json array", listOf(named("json value"), 0, Number.POSITIVE_INFINITY)],
  [
    "json object",
    between(
      "{",
      listed(sequence(named("json string"), colon(), named("json value")), 0, Number.POSITIVE_INFINITY),
      "}",
    ),
  ],
  [
    "json value",
    choice(
      ...["string", "number", "boolean", "null", "array", "object"].map((type) => named(`json ${type}`)),
    ),
  ],
]);

export function space(): Rule {
  return named("json space");
}

export function comma(): Rule {
  return sequence(text(","), space());
}

export function colon(): Rule {
  return sequence(text(":"), optional(text(" ")));
}

export function between(open: string, content: Rule, close: string): Rule {
  return sequence(text(open), space(), content, space(), text(close));
}

/** Items with commas between them; `most` may be infinite. */
export function listed(item: Rule, least: number, most: number): Rule {
  if (most === 0) return text("");
  const more = sequence(item, repeat(sequence(comma(), item), Math.max(0, least - 1), most - 1));
  return least === 0 ? optional(more) : more;
}

export function listOf(item: Rule, least: number, most: number): Rule {
  return between("[", listed(item, least, most), "]");
}

/** A value of JSON, written as JSON.stringify does but for white space, and for bigints: to the last digit. */
export function valueRule(value: unknown): Rule {
  if (Array.isArray(value)) return between("[", joined(value.map(valueRule)), "]");
  if (typeof value === "object" && value !== null) {
    const fields = Object.entries(value).map(([key, field]) =>
      sequence(text(JSON.stringify(key)), colon(), valueRule(field)),
    );
    return between("{", joined(fields), "}");
  }
  return text(typeof value === "bigint" ? String(value) : JSON.stringify(value));
}

function joined(items: readonly Rule[]): Rule {
  return sequence(...items.flatMap((item, index) => (index === 0 ? [item] : [comma(), item])));
}
