/**
 * JSON as plain values of which nothing is lost on the way through: lists and objects are remembered as they were written, and
 * written so again, with 3.0 that is not 3, all digits of whole numbers, and keys in their order.
 */
import { type ExactJson, exactJsonText, JsonFloat, parseExactJson, plainJson } from "./exact.ts";

/** Of lists and objects that were read here. They are not to be changed. */
const KEPT = new WeakMap<object, ExactJson>();

/** What JSON.parse reads. @throws Error saying what is wrong */
export function readKeptJson(text: string): unknown {
  // NaN and the like are JSON to Python alone.
  JSON.parse(text);
  return plainValue(parseExactJson(text));
}

function plainValue(exact: ExactJson): unknown {
  if (typeof exact !== "object" || exact === null || exact instanceof JsonFloat) return plainJson(exact);
  const value = Array.isArray(exact)
    ? exact.map(plainValue)
    : Object.fromEntries(
        Array.from(exact as ReadonlyMap<string, ExactJson>, ([key, item]) => [key, plainValue(item)]),
      );
  KEPT.set(value, exact);
  return value;
}

/** As JSON text where something of it is known to the letter, else as it is. */
export function keptOr<Value extends object>(value: Value): Value | string {
  return holdsKept(value) ? keptJsonText(value) : value;
}

function holdsKept(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  return KEPT.has(value) || Object.values(value).some(holdsKept);
}

/** What JSON.stringify writes of plain data, but for what was read by `readKeptJson`, which is as it was. */
export function keptJsonText(value: unknown): string {
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const exact = KEPT.get(value);
  if (exact !== undefined) return exactJsonText(exact);
  if (Array.isArray(value)) return `[${value.map((item) => keptJsonText(item ?? null)).join(",")}]`;
  const fields = Object.entries(value).filter(([, item]) => item !== undefined);
  return `{${fields.map(([key, item]) => `${JSON.stringify(key)}:${keptJsonText(item)}`).join(",")}}`;
}
