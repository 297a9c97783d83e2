/** Tools beside the form of an answer: it calls tools, or is of the form. */
import { keptOr } from "../../json/kept.ts";
import type { ProcessOptions } from "../../prompt/process-options.ts";
import type { GenerateOptions } from "../../serving/generation-options.ts";
import type { StructuredOptions } from "../../serving/structured-options.ts";
import type { ToolChoice } from "../../serving/tool-choice.ts";
import { RequestError } from "../errors.ts";
import type { Fields } from "../fields.ts";

export interface AskedForm {
  readonly tools: readonly object[];
  readonly toolChoice: ToolChoice | undefined;
  readonly structured: StructuredOptions | undefined;
}

/** @throws RequestError for a call without tools */
export function toolsOrForm(asked: AskedForm): GenerateOptions & ProcessOptions {
  const { toolChoice, structured } = asked;
  const mustCall = toolChoice !== undefined && toolChoice !== "none" && toolChoice !== "auto";
  if (asked.tools.length === 0) {
    if (mustCall) throw new RequestError("invalid", "tool_choice needs tools.", { param: "tool_choice" });
    return structured ? { structured } : {};
  }
  const tools = keptOr(asked.tools);
  // Where calls are asked for there is no text that would be of the form: so it is in OpenAI's API, and in vLLM.
  if (!structured || mustCall) return { tools, toolChoice: toolChoice ?? "auto" };
  // JSON is no call.
  if (toolChoice === "none") return { tools, structured };
  return { tools, toolChoice: "auto", structured };
}

/** Of the field tool_choice. @param nameOf reads the name of the function that has to be called. @throws RequestError */
export function readToolChoice(fields: Fields, nameOf: (given: Fields) => string): ToolChoice | undefined {
  if (typeof fields.any("tool_choice") !== "object") {
    return fields.oneOf<"none" | "auto" | "required">("tool_choice", ["none", "auto", "required"]);
  }
  const given = fields.fields("tool_choice");
  if (!given) return undefined;
  given.oneOf("type", ["function"]);
  const name = nameOf(given);
  given.end();
  return { name };
}
