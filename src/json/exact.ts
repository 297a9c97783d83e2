/** JSON with nothing lost: 3.0 is not 3, whole numbers have all their digits, keys their order. */
import { type JsonShape, readJsonText } from "./reader.ts";

/** A number that was written with a point or an exponent, or NaN or an infinity. */
export class JsonFloat {
  readonly value: number;

  constructor(value: number) {
    this.value = value;
  }

  /** No plain object: who walks through data leaves it alone. */
  get [Symbol.toStringTag](): string {
    return "JsonFloat";
  }
}

/** Whole numbers are bigints. */
export type ExactJson =
  | null
  | boolean
  | string
  | bigint
  | JsonFloat
  | readonly ExactJson[]
  | ReadonlyMap<string, ExactJson>;

const EXACT: JsonShape = {
  integer: BigInt,
  float: (value) => new JsonFloat(value),
  object: (entries) => new Map(entries),
};

/** Reads what `parseJson` reads. @throws JsonError saying what is wrong at which line and column. */
export function parseExactJson(text: string): ExactJson {
  return readJsonText(text, EXACT) as ExactJson;
}

/** The value as `parseJson` would have read it. */
export function plainJson(value: ExactJson): unknown {
  if (typeof value === "bigint") return Number(value);
  if (value instanceof JsonFloat) return value.value;
  if (value instanceof Map)
    return Object.fromEntries([...value].map(([key, item]) => [key, plainJson(item)]));
  return Array.isArray(value) ? value.map(plainJson) : value;
}

/**
 * The value as JSON text again, from which `parseExactJson` reads the same.
 *
 * @param indent spaces before what lies in a list or object, on lines of their own; default: one line
 */
export function exactJsonText(value: ExactJson, indent = 0): string {
  return jsonText(value, indent, "\n");
}

/** @param line what begins a line around the value */
function jsonText(value: ExactJson, indent: number, line: string): string {
  if (typeof value === "bigint") return value.toString();
  if (value instanceof JsonFloat) return floatText(value.value);
  const inner = line + " ".repeat(indent);
  if (value instanceof Map) {
    const colon = indent > 0 ? ": " : ":";
    const entries = [...value].map(
      ([key, item]) => `${JSON.stringify(key)}${colon}${jsonText(item, indent, inner)}`,
    );
    return enclosed("{", entries, "}", indent > 0 ? [inner, line] : ["", ""]);
  }
  if (!Array.isArray(value)) return JSON.stringify(value);
  const items = value.map((item) => jsonText(item, indent, inner));
  return enclosed("[", items, "]", indent > 0 ? [inner, line] : ["", ""]);
}

function enclosed(
  open: string,
  items: readonly string[],
  close: string,
  [before, behind]: readonly [string, string],
): string {
  return items.length === 0 ? open + close : `${open}${before}${items.join(`,${before}`)}${behind}${close}`;
}

/** With a point or exponent, by which it stays a float. */
function floatText(value: number): string {
  const text = Object.is(value, -0) ? "-0" : String(value);
  return /^-?[0-9]+$/.test(text) ? `${text}.0` : text;
}
