/** What a caller may say about what an answer is to be, checked and made plain data. */
import { GlimtError } from "../errors.ts";
import { readList, readOnce, readOptions, shown } from "../given.ts";
import type { StructuredText } from "../grammar/structured.ts";

/** What an answer may be asked to be. */
export interface Structures {
  /** JSON that a schema (draft 2020-12) holds for; an object, or its JSON text. */
  readonly jsonSchema: object | string | boolean;
  /** A regular expression that the whole answer matches, in JavaScript's syntax with the meaning of the flag `u`. */
  readonly regex: string | RegExp;
  /** One of these texts. */
  readonly choice: readonly string[];
  /** A grammar of rules `name ::= …`; an answer is of its rule `root`. */
  readonly grammar: string;
}

/** Exactly one of them. */
export type StructuredOptions = {
  [Key in keyof Structures]: Pick<Structures, Key> & {
    readonly [Other in Exclude<keyof Structures, Key>]?: undefined;
  };
}[keyof Structures];

/** Characters of a schema, an expression or a grammar, and of all choices together. */
const MOST_CHARACTERS = 1_000_000;
const KEYS = ["jsonSchema", "regex", "choice", "grammar"] as const;

/** @throws OPTION_INVALID */
export function readStructured(given: StructuredOptions | undefined): StructuredText | null {
  if (given === undefined) return null;
  if (typeof given !== "object" || given === null || Array.isArray(given)) {
    throw wrong(
      "structured",
      `is ${shown(given)}, expected { jsonSchema }, { regex }, { choice } or { grammar }`,
    );
  }
  const options = readOptions(given, "structured", KEYS);
  const keys = KEYS.filter((key) => options[key] !== undefined);
  const [key] = keys;
  if (key === undefined || keys.length > 1) {
    throw wrong(
      "structured",
      `has ${keys.join(" and ") || "none"} of ${KEYS.join(", ")}, expected exactly one`,
    );
  }
  if (key === "jsonSchema") return { kind: key, source: schemaText(options.jsonSchema) };
  if (key === "choice") return { kind: key, choices: choicesOf(options.choice) };
  if (key === "regex") return { kind: key, source: sized("structured.regex", expressionText(options.regex)) };
  return { kind: key, source: sized("structured.grammar", options.grammar) };
}

function expressionText(regex: unknown): unknown {
  if (!(regex instanceof RegExp)) return regex;
  const { source, flags } = regex;
  // With v, sets hold operations: [\w&&\d] is what the flag u has as a set of &, too.
  if (/^[dgu]*$/.test(flags)) return source;
  throw wrong("structured.regex", `has the flags ${flags}, of which only d, g and u change nothing`);
}

function sized(name: string, value: unknown): string {
  if (typeof value !== "string") throw wrong(name, `is ${shown(value)}, expected a string`);
  if (/\p{Surrogate}/u.test(value))
    throw wrong(name, "has half of a pair of surrogates, which is no character");
  if (value.length <= MOST_CHARACTERS) return value;
  throw wrong(name, `has ${value.length} characters, and at most ${MOST_CHARACTERS} are read`);
}

function schemaText(schema: unknown): string {
  const name = "structured.jsonSchema";
  if (typeof schema === "string") {
    const text = sized(name, schema);
    try {
      JSON.parse(text);
    } catch (cause) {
      throw new GlimtError("OPTION_INVALID", `${name} is no JSON: ${(cause as Error).message}.`, { cause });
    }
    return text;
  }
  if (
    typeof schema !== "boolean" &&
    (typeof schema !== "object" || schema === null || Array.isArray(schema))
  ) {
    throw wrong(name, `is ${shown(schema)}, expected a JSON schema: an object, or its JSON text`);
  }
  const text: unknown = readOnce(name, () => JSON.stringify(schema, finite), "OPTION_INVALID");
  return sized(name, text);
}

/** In place of null, which JSON.stringify writes. */
function finite(_: string, value: unknown): unknown {
  if (typeof value !== "number" || Number.isFinite(value)) return value;
  throw wrong("structured.jsonSchema", `has the number ${value}, which JSON has not`);
}

function choicesOf(value: unknown): string[] {
  const name = "structured.choice";
  if (!Array.isArray(value)) throw wrong(name, `is ${shown(value)}, expected a list of strings`);
  const choices = readList(value, name, "OPTION_INVALID");
  if (choices.length === 0) throw wrong(name, "is empty, expected texts to choose from");
  choices.forEach((text, index) => {
    if (sized(`${name}[${index}]`, text) === "")
      throw wrong(`${name}[${index}]`, "is empty, expected a text");
  });
  sized(name, choices.join(""));
  return choices as string[];
}

function wrong(name: string, what: string): GlimtError {
  return new GlimtError("OPTION_INVALID", `${name} ${what}.`);
}
