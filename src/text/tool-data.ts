/** Tools and their calls as templates take them, with nothing of their JSON lost. */
import { GlimtError } from "../errors.ts";
import { shown } from "../given.ts";
import { parseExactJson } from "../json/exact.ts";
import type { TemplateMessage } from "./messages.ts";

type Fields = Readonly<Record<string, unknown>>;

/**
 * The messages with `arguments` of tool calls as objects, where they are JSON text: OpenAI's API gives them so. No text,
 * and "null", are no arguments.
 * @throws INPUT_INVALID naming the place, when they are neither an object nor JSON text of one
 */
export function withParsedCalls(messages: readonly TemplateMessage[]): readonly TemplateMessage[] {
  return messages.map((message, index) => {
    const { tool_calls: calls } = message;
    if (!Array.isArray(calls)) return message;
    const path = `messages[${index}].tool_calls`;
    return { ...message, tool_calls: calls.map((call, at) => parsedCall(call, `${path}[${at}]`)) };
  });
}

/** OpenAI's shape, or the function alone. */
function parsedCall(call: unknown, path: string): unknown {
  if (!isFields(call)) return call;
  const called = parsedArguments(call, path);
  if (!isFields(called.function)) return called;
  return { ...called, function: parsedArguments(called.function, `${path}.function`) };
}

function parsedArguments(called: Fields, path: string): Fields {
  if (!("arguments" in called)) return called;
  const { arguments: given } = called;
  if (given === null || given === undefined) return { ...called, arguments: new Map() };
  const name = `${path}.arguments`;
  if (isFields(given) || given instanceof Map) return called;
  if (typeof given !== "string") throw noObject(name, given);
  const parsed = given.trim() === "" ? null : parsedText(given, name, "INPUT_INVALID");
  if (parsed === null) return { ...called, arguments: new Map() };
  if (parsed instanceof Map) return { ...called, arguments: parsed };
  throw noObject(name, given);
}

function noObject(name: string, given: unknown): GlimtError {
  return new GlimtError("INPUT_INVALID", `${name}: expected a JSON object, found ${shown(given)}.`);
}

/**
 * Tools as a list. As one JSON text they keep 3.0, digits of large numbers and the order of keys.
 * @throws OPTION_INVALID when they are neither a list of objects nor JSON of one
 */
export function readTools(tools: readonly object[] | string | undefined): readonly object[] | undefined {
  if (tools === undefined || tools === null) return undefined;
  const list: unknown = typeof tools === "string" ? parsedText(tools, "tools", "OPTION_INVALID") : tools;
  if (!Array.isArray(list)) {
    throw new GlimtError(
      "OPTION_INVALID",
      "tools: expected a list of function schemas, or JSON text of one.",
    );
  }
  const wrong = list.findIndex((tool) => typeof tool !== "object" || tool === null || Array.isArray(tool));
  if (wrong >= 0)
    throw new GlimtError("OPTION_INVALID", `tools[${wrong}]: expected a function schema, an object.`);
  return list;
}

function parsedText(text: string, name: string, code: "INPUT_INVALID" | "OPTION_INVALID"): unknown {
  try {
    return parseExactJson(text);
  } catch (cause) {
    throw new GlimtError(code, `${name} is no JSON (${(cause as Error).message}): ${shown(text)}.`, {
      cause,
    });
  }
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Map);
}
