/** A body of Anthropic's Messages API as what is asked of a model. */
import { keptOr } from "../../json/kept.ts";
import type { Message, ProcessOptions } from "../../prompt/process-options.ts";
import type { GenerateOptions } from "../../serving/generation-options.ts";
import type { StructuredOptions } from "../../serving/structured-options.ts";
import type { ToolChoice } from "../../serving/tool-choice.ts";
import type { Asked } from "../asked.ts";
import { Fields } from "../fields.ts";
import { needed } from "../needed.ts";
import { readAnthropicMessages } from "./read-messages.ts";

export interface AnthropicRequest extends Asked {
  readonly model: string;
  readonly prompt: readonly Message[];
  /** Of several calls the first alone is told. */
  readonly oneCall: boolean;
  /** Thinking is not told. */
  readonly hidesThinking: boolean;
}

/** What bills, routes or watches a request, and changes no answer. `output_config.effort` is a hint as well. */
const TAKEN = [
  "cache_control",
  "diagnostics",
  "inference_geo",
  "metadata",
  "service_tier",
  "speed",
  "user_profile_id",
  "workspace_id",
];
const REFUSED = {
  container: "There is nothing here that runs code.",
  context_management: "A conversation is read as it is given.",
  mcp_servers: "Tools are called by who asks.",
};

/** @throws RequestError naming the field */
export function readAnthropicRequest(body: unknown): AnthropicRequest {
  const fields = new Fields(body);
  const maxTokens = needed(fields, "max_tokens", fields.whole("max_tokens"));
  if (maxTokens < 1) throw fields.wrong("max_tokens", "a whole number from 1");
  const request = readPrompt(fields);
  const stop = fields.strings("stop_sequences");
  const options: GenerateOptions & ProcessOptions = {
    ...request.options,
    maxTokens,
    temperature: fields.number("temperature"),
    topK: fields.whole("top_k"),
    topP: fields.number("top_p"),
    stop: stop && stop.length > 0 ? stop : undefined,
    thinkingBudget: request.thinkingBudget,
    toolChoice: request.toolChoice,
    structured: request.structured,
  };
  const stream = fields.boolean("stream") ?? false;
  fields.end();
  const { model, prompt, oneCall, hidesThinking } = request;
  return { model, prompt, options, stream, oneCall, hidesThinking };
}

/** What `count_tokens` is asked: the same without what says how to answer. @throws RequestError */
export function readCountTokensRequest(body: unknown): {
  readonly model: string;
  readonly prompt: readonly Message[];
  readonly options: ProcessOptions;
} {
  const fields = new Fields(body);
  const { model, prompt, options } = readPrompt(fields);
  fields.end();
  return { model, prompt, options };
}

interface ReadPrompt {
  readonly model: string;
  readonly prompt: readonly Message[];
  readonly options: ProcessOptions;
  readonly thinkingBudget: number | undefined;
  readonly toolChoice: ToolChoice | undefined;
  readonly structured: StructuredOptions | undefined;
  readonly oneCall: boolean;
  readonly hidesThinking: boolean;
}

function readPrompt(fields: Fields): ReadPrompt {
  const model = needed(fields, "model", fields.string("model"));
  const prompt = readAnthropicMessages(
    needed(fields, "messages", fields.list("messages")),
    fields.any("system"),
  );
  const tools = fields.list("tools")?.map((tool, index) => readTool(tool, `tools[${index}]`));
  const offers = tools !== undefined && tools.length > 0;
  const { toolChoice, oneCall } = readToolChoice(fields, offers);
  const { enableThinking, thinkingBudget, hidesThinking } = readThinking(fields);
  const mustCall = toolChoice === "required" || typeof toolChoice === "object";
  const form = readFormat(fields);
  // Where calls are asked for there is no text that would be of the form.
  const structured = mustCall ? undefined : form;
  fields.pass(TAKEN);
  for (const [name, advice] of Object.entries(REFUSED)) fields.refuse(name, advice);
  const options: ProcessOptions = {
    ...(offers && { tools: keptOr(tools) }),
    enableThinking,
    // The answer goes on where the last turn ends.
    ...(prompt.at(-1)?.role === "assistant" && { continueFinalMessage: true }),
  };
  return { model, prompt, options, thinkingBudget, toolChoice, structured, oneCall, hidesThinking };
}

function readTool(given: unknown, path: string): object {
  const fields = new Fields(given, path);
  const type = fields.string("type") ?? "custom";
  if (type !== "custom") {
    throw fields.wrong("type", 'a tool that the caller runs: "custom", or no type');
  }
  const name = needed(fields, "name", fields.string("name"));
  const description = fields.string("description");
  const parameters = needed(fields, "input_schema", fields.object("input_schema"));
  // Calls always hold to the schema.
  fields.pass(["cache_control", "defer_loading", "eager_input_streaming", "strict"]);
  fields.refuse("allowed_callers", "Tools are called by who asks.", [["direct"]]);
  fields.refuse("input_examples", "Templates have no place for them: write them into the description.", [[]]);
  fields.end();
  return {
    type: "function",
    function: { name, ...(description !== undefined && { description }), parameters },
  };
}

/** Without a choice calls are well formed: a block's `input` is an object, not text. */
function readToolChoice(
  fields: Fields,
  offers: boolean,
): { readonly toolChoice: ToolChoice | undefined; readonly oneCall: boolean } {
  const choice = fields.fields("tool_choice");
  if (choice === undefined) return { toolChoice: offers ? "auto" : undefined, oneCall: false };
  const type = needed(choice, "type", choice.oneOf("type", ["auto", "any", "none", "tool"]));
  const oneCall = choice.boolean("disable_parallel_tool_use") ?? false;
  const name = type === "tool" ? needed(choice, "name", choice.string("name")) : undefined;
  choice.end();
  if (name !== undefined) return { toolChoice: { name }, oneCall };
  // Without tools there is nothing to keep it from.
  if (type === "none") return { toolChoice: offers ? "none" : undefined, oneCall };
  return { toolChoice: type === "any" ? "required" : "auto", oneCall };
}

function readThinking(fields: Fields): {
  readonly enableThinking: boolean | undefined;
  readonly thinkingBudget: number | undefined;
  readonly hidesThinking: boolean;
} {
  const thinking = fields.fields("thinking");
  if (thinking === undefined) {
    return { enableThinking: undefined, thinkingBudget: undefined, hidesThinking: false };
  }
  const type = needed(thinking, "type", thinking.oneOf("type", ["enabled", "disabled", "adaptive"]));
  const thinkingBudget =
    type === "enabled" ? needed(thinking, "budget_tokens", thinking.whole("budget_tokens")) : undefined;
  const display = type === "disabled" ? undefined : thinking.oneOf("display", ["summarized", "omitted"]);
  thinking.end();
  return { enableThinking: type !== "disabled", thinkingBudget, hidesThinking: display === "omitted" };
}

function readFormat(fields: Fields): StructuredOptions | undefined {
  const config = fields.fields("output_config");
  if (config === undefined) return undefined;
  config.pass(["effort"]);
  const format = config.fields("format");
  config.end();
  if (format === undefined) return undefined;
  needed(format, "type", format.oneOf("type", ["json_schema"]));
  const jsonSchema = needed(format, "schema", format.object("schema"));
  format.end();
  return { jsonSchema: keptOr(jsonSchema) };
}
