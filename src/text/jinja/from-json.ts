/** What a caller gives as Python would have read it from JSON. */
import { GlimtError } from "../../errors.ts";
import { JsonFloat } from "../../json/exact.ts";
import { Dict } from "./dict.ts";
import type { Value } from "./py-object.ts";

const MAX_DEPTH = 400;

/**
 * Numbers become what JSON.stringify would write: whole ones are ints, up to 1e21. Of an object, what is undefined is
 * left out; Maps keep the order of their keys.
 * @throws INPUT_INVALID for functions and the like, and for what is nested too deeply
 */
export function fromJson(value: unknown, path: string, depth = 0): Value {
  switch (typeof value) {
    case "string":
    case "boolean":
    case "bigint":
      return value;
    case "number":
      return Number.isInteger(value) && Math.abs(value) < 1e21 ? BigInt(value) : value;
    case "undefined":
      return null;
    case "object":
      break;
    default:
      throw new GlimtError(
        "INPUT_INVALID",
        `${path}: a ${typeof value} can not be given to a chat template.`,
      );
  }
  if (value === null) return null;
  if (value instanceof JsonFloat) return value.value;
  if (depth > MAX_DEPTH) {
    throw new GlimtError("INPUT_INVALID", `${path}: nested too deeply, or within itself.`);
  }
  if (Array.isArray(value)) {
    return Array.from(value, (item, index) => fromJson(item, `${path}[${index}]`, depth + 1));
  }
  if (typeof (value as { toJSON?: unknown }).toJSON === "function") {
    return fromJson((value as { toJSON(): unknown }).toJSON(), path, depth + 1);
  }
  const entries: Iterable<[unknown, unknown]> =
    value instanceof Map ? value.entries() : Object.entries(value);
  const dict = new Dict();
  for (const [key, item] of entries) {
    if (typeof key !== "string") {
      throw new GlimtError("INPUT_INVALID", `${path}: the keys of a Map for a chat template are texts.`);
    }
    if (item !== undefined) dict.set(key, fromJson(item, `${path}.${key}`, depth + 1));
  }
  return dict;
}
