/** POST /v1/responses: what a body asks for. */
import type { ProcessOptions } from "../../../prompt/process-options.ts";
import type { GenerateOptions } from "../../../serving/generation-options.ts";
import type { StructuredOptions } from "../../../serving/structured-options.ts";
import type { Asked } from "../../asked.ts";
import { Fields, type Json } from "../../fields.ts";
import { schemaOf } from "../answer-form.ts";
import { EFFORTS } from "../chat-request.ts";
import { definedOnly, limitOf, samplingFields } from "../sampling-fields.ts";
import { readToolChoice, toolsOrForm } from "../tools-or-form.ts";
import { inputMessages, refuseKept } from "./input-messages.ts";

export interface ResponseAsked extends Asked {
  readonly parallelToolCalls: boolean;
  /** What the response repeats of its request. */
  readonly repeated: Json;
}

const REFUSED: readonly [name: string, advice: string, harmless?: readonly unknown[]][] = [
  ["background", "Read the response as a stream.", [false]],
  ["prompt", "Send the prompt's text as instructions and input."],
  ["max_tool_calls", "Tools are called by whoever asks."],
  ["truncation", "A conversation that is too long is refused.", ["disabled"]],
  ["context_management", "Send the conversation as it should be read."],
  ["moderation", "Nothing is moderated here."],
  ["n", "A response is one answer.", [1]],
];
const LOGPROBS = "message.output_text.logprobs";
/** Thinking is told as text, so that nothing needs to be encrypted. */
const INCLUDED = [LOGPROBS, "reasoning.encrypted_content"];

/** @throws RequestError naming the field */
export function readResponseRequest(body: unknown): ResponseAsked {
  const fields = new Fields(body);
  refuseKept(fields);
  for (const [name, advice, harmless] of REFUSED) fields.refuse(name, advice, harmless);
  const prompt = inputMessages(fields);
  const model = fields.string("model");
  const stream = fields.boolean("stream") ?? false;
  fields.pass(["stream_options", "store", "prompt_cache_options"]);
  const options = {
    ...samplingFields(fields),
    ...definedOnly({ maxTokens: limitOf(fields, "max_output_tokens") }),
    ...logprobs(fields),
    ...thinking(fields),
    ...answerOptions(fields),
  };
  const parallelToolCalls = fields.boolean("parallel_tool_calls") ?? true;
  fields.end();
  return {
    prompt,
    options,
    model,
    stream,
    parallelToolCalls,
    repeated: repeatedOf(fields, parallelToolCalls),
  };
}

function logprobs(fields: Fields): GenerateOptions {
  const included = fields.strings("include") ?? [];
  if (included.some((name) => !INCLUDED.includes(name))) {
    throw fields.wrong("include", `a list of ${INCLUDED.join(", ")}`);
  }
  const top = fields.whole("top_logprobs");
  return included.includes(LOGPROBS) || (top ?? 0) > 0 ? { logprobs: true, topLogprobs: top ?? 0 } : {};
}

function thinking(fields: Fields): ProcessOptions {
  const given = fields.fields("reasoning");
  const effort = given?.oneOf("effort", EFFORTS);
  given?.pass(["summary", "generate_summary"]);
  given?.end();
  return effort === undefined ? {} : { enableThinking: effort !== "none" };
}

function answerOptions(fields: Fields): GenerateOptions & ProcessOptions {
  const tools = (fields.list("tools") ?? []).map((tool, index) => toolOf(tool, `tools[${index}]`));
  return toolsOrForm({
    tools,
    structured: textFormat(fields),
    toolChoice: readToolChoice(fields, calledName),
  });
}

function textFormat(fields: Fields): StructuredOptions | undefined {
  const text = fields.fields("text");
  text?.refuse("verbosity", "Say in a message how long the answer should be.", ["medium"]);
  const format = text?.fields("format");
  text?.end();
  const type = format?.oneOf("type", ["text", "json_object", "json_schema"]);
  if (!format || type === undefined) return undefined;
  if (type === "json_schema") {
    format.pass(["type"]);
    return { jsonSchema: schemaOf(format, "schema") };
  }
  format.end();
  return type === "text" ? undefined : { jsonSchema: { type: "object" } };
}

/** As chats have it: the function under a key of its own. */
function toolOf(given: unknown, path: string): object {
  const tool = new Fields(given, path);
  const type = tool.string("type");
  if (type !== "function") throw tool.wrong("type", '"function": other tools are not run here');
  const name = tool.string("name");
  if (name === undefined) throw tool.missing("name");
  const [description, parameters] = [tool.string("description"), tool.object("parameters")];
  tool.pass(["strict"]);
  tool.end();
  return { type, function: definedOnly({ name, description, parameters }) };
}

function calledName(given: Fields): string {
  const name = given.string("name");
  if (name === undefined) throw given.missing("name");
  return name;
}

function repeatedOf(fields: Fields, parallelToolCalls: boolean): Json {
  const or = (name: string, other: unknown) => fields.any(name) ?? other;
  return {
    instructions: or("instructions", null),
    max_output_tokens: or("max_output_tokens", null),
    metadata: or("metadata", {}),
    parallel_tool_calls: parallelToolCalls,
    previous_response_id: null,
    reasoning: or("reasoning", { effort: null, summary: null }),
    store: false,
    temperature: or("temperature", null),
    text: or("text", { format: { type: "text" } }),
    tool_choice: or("tool_choice", "auto"),
    tools: or("tools", []),
    top_logprobs: or("top_logprobs", 0),
    top_p: or("top_p", null),
    truncation: "disabled",
    background: false,
  };
}
