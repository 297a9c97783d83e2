/** POST /v1/chat/completions: what a body asks for. */
import type { ProcessOptions } from "../../prompt/process-options.ts";
import type { GenerateOptions } from "../../serving/generation-options.ts";
import type { Asked } from "../asked.ts";
import { RequestError } from "../errors.ts";
import { Fields } from "../fields.ts";
import { answerForm } from "./answer-form.ts";
import { chatMessages } from "./chat-messages.ts";
import { definedOnly, limitOf, samplingFields } from "./sampling-fields.ts";
import { readToolChoice, toolsOrForm } from "./tools-or-form.ts";

/** How usage is told in a stream. */
export interface StreamUsage {
  /** A last chunk has it. */
  readonly atEnd: boolean;
  /** Every chunk has what is used so far. */
  readonly always: boolean;
}

export interface ChatAsked extends Asked {
  readonly usage: StreamUsage;
  /** Whether thinking is told beside the answer. */
  readonly reasoning: boolean;
  /** false: one call of a tool is told, and no further ones. */
  readonly parallelToolCalls: boolean;
}

const REFUSED: readonly [name: string, advice: string, harmless?: readonly unknown[]][] = [
  ["functions", "Use tools."],
  ["function_call", "Use tool_choice.", ["none", "auto"]],
  ["audio", "Answers are text."],
  ["modalities", "Answers are text.", [["text"]]],
  ["web_search_options", "The model searches nothing."],
  ["verbosity", "Say in a message how long the answer should be.", ["medium"]],
  ["moderation", "Nothing is moderated here."],
  ["echo", "The prompt is not repeated.", [false]],
  ["add_special_tokens", "The chat template has them.", [false]],
  ["chat_template", "The checkpoint's own is used; chat_template_kwargs are its variables."],
  [
    "mm_processor_kwargs",
    "The checkpoint's own processor is used; media_io_kwargs say how videos are sampled.",
  ],
];

/** @throws RequestError naming the field */
export function readChatRequest(body: unknown): ChatAsked {
  const fields = new Fields(body);
  const messages = chatMessages(fields);
  const model = fields.string("model");
  const stream = fields.boolean("stream") ?? false;
  const usage = streamUsage(fields, stream);
  for (const [name, advice, harmless] of REFUSED) fields.refuse(name, advice, harmless);
  const options = {
    ...samplingFields(fields),
    ...definedOnly({ maxTokens: limitOf(fields, "max_completion_tokens") ?? limitOf(fields, "max_tokens") }),
    ...logprobs(fields),
    ...templateOptions(fields),
    ...videoOptions(fields),
    ...answerOptions(fields),
  };
  fields.pass(["max_tokens", "store"]);
  const reasoning = fields.boolean("include_reasoning") ?? true;
  const parallelToolCalls = fields.boolean("parallel_tool_calls") ?? true;
  fields.end();
  return { prompt: messages, options, model, stream, usage, reasoning, parallelToolCalls };
}

export function streamUsage(fields: Fields, stream: boolean): StreamUsage {
  const given = fields.fields("stream_options");
  if (!given) return { atEnd: false, always: false };
  if (!stream)
    throw new RequestError("invalid", "stream_options needs stream: true.", { param: "stream_options" });
  const always = given.boolean("continuous_usage_stats") ?? false;
  const atEnd = given.boolean("include_usage") ?? false;
  given.pass(["include_obfuscation"]);
  given.end();
  return { atEnd, always: atEnd && always };
}

function logprobs(fields: Fields): GenerateOptions {
  const [asked, top] = [fields.boolean("logprobs") ?? false, fields.whole("top_logprobs")];
  if (top !== undefined && top > 0 && !asked) {
    throw new RequestError("invalid", "top_logprobs needs logprobs: true.", { param: "top_logprobs" });
  }
  return asked ? { logprobs: true, topLogprobs: top ?? 0 } : {};
}

function templateOptions(fields: Fields): ProcessOptions {
  const { enable_thinking, thinking, ...others } = fields.object("chat_template_kwargs") ?? {};
  const effort = fields.oneOf("reasoning_effort", EFFORTS);
  const continueFinalMessage = fields.boolean("continue_final_message");
  const opens = fields.boolean("add_generation_prompt") ?? !continueFinalMessage;
  if (opens === (continueFinalMessage ?? false)) {
    throw new RequestError(
      "invalid",
      "A request either continues the final message or opens a new one: add_generation_prompt is the opposite of continue_final_message.",
      { param: "add_generation_prompt" },
    );
  }
  const documents = fields.list("documents");
  const variables = definedOnly({ ...others, documents });
  return definedOnly({
    enableThinking: thinkingSwitch(enable_thinking ?? thinking) ?? (effort && effort !== "none"),
    continueFinalMessage,
    templateVariables: Object.keys(variables).length > 0 ? variables : undefined,
  });
}

/** Templates of these models know thinking or none. */
export const EFFORTS = ["none", "minimal", "low", "medium", "high", "xhigh", "max"] as const;

function thinkingSwitch(value: unknown): boolean | undefined {
  if (value === undefined || value === null || typeof value === "boolean") return value ?? undefined;
  throw new RequestError("invalid", "chat_template_kwargs.enable_thinking must be true or false.", {
    param: "chat_template_kwargs.enable_thinking",
  });
}

/** As vLLM reads them: { video: { num_frames, fps } }. */
function videoOptions(fields: Fields): ProcessOptions {
  const media = fields.fields("media_io_kwargs");
  const video = media?.fields("video");
  media?.end();
  const frames = video?.whole("num_frames");
  const options = definedOnly({
    maxFrames: frames === -1 ? undefined : frames,
    videoFps: video?.number("fps"),
  });
  video?.end();
  return options;
}

/** Tools, and what the answer is to be. */
function answerOptions(fields: Fields): GenerateOptions & ProcessOptions {
  const tools = (fields.list("tools") ?? []) as readonly object[];
  return toolsOrForm({
    tools,
    structured: answerForm(fields),
    toolChoice: readToolChoice(fields, calledName),
  });
}

function calledName(given: Fields): string {
  const called = given.fields("function");
  const name = called?.string("name");
  if (!name) throw given.missing("function.name");
  called?.end();
  return name;
}
