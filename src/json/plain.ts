/** JSON as plain JavaScript values, for files whose values are checked one by one. */
import { JsonError, type JsonShape, MAX_DEPTH, readJsonText } from "./reader.ts";

const PLAIN: JsonShape = {
  integer: Number,
  float: (value) => value,
  // Defines, where an assignment to `__proto__` would not.
  object: Object.fromEntries,
};

/**
 * What Python's json.loads reads: the standard's JSON, and NaN, Infinity and -Infinity. Whole numbers beyond 2^53
 * become the nearest number.
 * @throws JsonError saying what is wrong at which line and column.
 */
export function parseJson(text: string): unknown {
  const value = parsedByHost(text);
  if (value === undefined) return readJsonText(text, PLAIN);
  // The host reads any depth; who walks over the value could not.
  if (isTooDeep(value)) throw new JsonError(text, 0, `More than ${MAX_DEPTH} levels of lists and objects`);
  return value;
}

/** Many times faster, and the same where it reads the text at all (it has no limit of digits: Infinity). */
function parsedByHost(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isTooDeep(value: unknown): boolean {
  let level = [value];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth >= MAX_DEPTH) return true;
    const next: unknown[] = [];
    for (const item of level) {
      if (typeof item !== "object" || item === null) continue;
      for (const child of Array.isArray(item) ? item : Object.values(item)) {
        if (typeof child === "object" && child !== null) next.push(child);
      }
    }
    level = next;
  }
  return false;
}
