/** The keywords of JSON Schema: which are held, which say nothing about the text, and which can not be held. */
import { GlimtError } from "../errors.ts";

export type Schema = Readonly<Record<string, unknown>>;

export function schemaError(path: string, what: string): GlimtError {
  return new GlimtError("OPTION_INVALID", `${path === "" ? "The schema" : path}: ${what}.`);
}

/** Describe, and hold nothing. */
const ANNOTATIONS = new Set(
  "$schema $id $anchor $comment $defs definitions title description default example examples deprecated readOnly writeOnly contentMediaType contentEncoding".split(
    " ",
  ),
);

const GENERAL = "type enum const anyOf oneOf allOf $ref".split(" ");

/** Those of a type; they say nothing about values of another. */
export const KEYWORDS_OF: Readonly<Record<string, readonly string[]>> = {
  string: ["minLength", "maxLength", "pattern", "format"],
  number: ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"],
  array: ["items", "prefixItems", "additionalItems", "minItems", "maxItems"],
  object: ["properties", "required", "additionalProperties", "minProperties", "maxProperties"],
};

const HELD = new Set([...GENERAL, ...Object.values(KEYWORDS_OF).flat()]);
/** Values with which a keyword that is not held says nothing. */
const SAYS_NOTHING: Readonly<Record<string, unknown>> = { uniqueItems: false, unevaluatedProperties: false };

/** @throws OPTION_INVALID for a keyword that would be ignored, and for one that nobody knows */
export function checkKeywords(schema: Schema, path: string): void {
  for (const [keyword, value] of Object.entries(schema)) {
    if (HELD.has(keyword) || ANNOTATIONS.has(keyword) || keyword.startsWith("x-")) continue;
    if (keyword === "multipleOf" && value === 1 && schema.type === "integer") continue;
    if (Object.hasOwn(SAYS_NOTHING, keyword) && SAYS_NOTHING[keyword] === value) continue;
    throw schemaError(
      `${path}.${keyword}`,
      "this keyword is not supported, and would be ignored; leave it out and check the answer for it",
    );
  }
}

/** A count, or undefined where there is none. @throws OPTION_INVALID */
export function countOf(schema: Schema, keyword: string, path: string): number | undefined {
  const value = schema[keyword];
  if (value === undefined) return undefined;
  if (Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 100_000)
    return value as number;
  throw schemaError(`${path}.${keyword}`, "expected a whole number of 0..100000");
}

/** @throws OPTION_INVALID */
export function numberIn(schema: Schema, keyword: string, path: string): number | undefined {
  const value = schema[keyword];
  if (typeof value === "bigint") return Number(value);
  if (value === undefined || (typeof value === "number" && Number.isFinite(value))) return value;
  throw schemaError(`${path}.${keyword}`, "expected a number");
}

/** @throws OPTION_INVALID */
export function objectIn(schema: Schema, keyword: string, path: string): Schema {
  const value = schema[keyword] ?? {};
  if (typeof value === "object" && !Array.isArray(value)) return value as Schema;
  throw schemaError(`${path}.${keyword}`, "expected an object");
}

/** @throws OPTION_INVALID */
export function listIn(schema: Schema, keyword: string, path: string): readonly unknown[] {
  const value = schema[keyword];
  if (Array.isArray(value)) return value;
  throw schemaError(`${path}.${keyword}`, "expected a list");
}

export function isAnnotation(keyword: string): boolean {
  return ANNOTATIONS.has(keyword) || keyword.startsWith("x-");
}
