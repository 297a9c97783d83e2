/** Values as Python reads and writes them: models are trained on what Python wrote. */
import { type ExactJson, JsonFloat, parseExactJson } from "../json/exact.ts";
import { floatText } from "./jinja/repr.ts";
import { readPythonLiteral } from "./python-literal.ts";

/**
 * JSON text of a value that is written as JSON, or else as a literal of Python's (True, 'text', (1, 2)), or else is the
 * text itself. What JSON has no word for (NaN, a set) is text too.
 */
export function valueJson(text: string): string {
  const value = exactValue(text);
  return (value === undefined ? undefined : pythonJson(value)) ?? JSON.stringify(text);
}

function exactValue(text: string): ExactJson | undefined {
  try {
    return parseExactJson(text);
  } catch {
    return readPythonLiteral(text);
  }
}

/** As json.dumps(value, ensure_ascii=False) writes it; undefined where a number is not finite. */
function pythonJson(value: ExactJson): string | undefined {
  if (value instanceof JsonFloat) return Number.isFinite(value.value) ? floatText(value.value) : undefined;
  if (typeof value === "bigint") return value.toString();
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const isList = Array.isArray(value);
  const items = isList
    ? value.map(pythonJson)
    : [...(value as ReadonlyMap<string, ExactJson>)].map(entryJson);
  if (items.includes(undefined)) return undefined;
  return isList ? `[${items.join(", ")}]` : `{${items.join(", ")}}`;
}

function entryJson([key, value]: readonly [string, ExactJson]): string | undefined {
  const json = pythonJson(value);
  return json === undefined ? undefined : `${JSON.stringify(key)}: ${json}`;
}
