/** A call of the AI SDK as a request to a model. */
import { GlimtError } from "../errors.ts";
import { shown } from "../given.ts";
import type { Sources } from "../media/sources/source-rule.ts";
import type { Message, ProcessOptions } from "../prompt/process-options.ts";
import type { GenerateOptions } from "../serving/generation-options.ts";
import type { StructuredOptions } from "../serving/structured-options.ts";
import type { CallOptions, Warning } from "./contract.ts";
import { messagesOf } from "./messages.ts";
import { glimtOptions } from "./provider-options.ts";
import { reasoningOptions } from "./reasoning.ts";
import { type OfferedTools, toolOptions } from "./tools.ts";

export interface Request {
  readonly messages: Message[];
  readonly options: GenerateOptions & ProcessOptions;
  readonly warnings: Warning[];
}

/** What a call's options depend on. */
export interface RequestContext {
  readonly canThink: boolean;
  /** Most tokens that the model reads and says. */
  readonly context: number;
  /** Undefined: the model's own rule. */
  readonly sources: Sources | undefined;
}

/** What an answer without a schema is: bare texts and numbers are JSON too, and nobody asks for those. */
const ANY_JSON = { type: ["object", "array"] };

/** @throws INPUT_INVALID, OPTION_INVALID; what the model checks itself it throws when it runs */
export function requestOf(call: CallOptions, { canThink, context, sources }: RequestContext): Request {
  const { messages, warnings } = messagesOf(readPrompt(call.prompt));
  const own = glimtOptions(call.providerOptions);
  const reasoning = reasoningOptions(call, canThink, context);
  const tools = toolOptions(call);
  warnings.push(...reasoning.warnings, ...tools.warnings, ...samplingWarnings(call, own));
  const asked = structuredOptions(call.responseFormat);
  const options: Record<string, unknown> = {
    temperature: call.temperature,
    topP: call.topP,
    topK: call.topK,
    presencePenalty: call.presencePenalty,
    frequencyPenalty: call.frequencyPenalty,
    seed: call.seed,
    stop: call.stopSequences,
    signal: call.abortSignal,
    // Messages of users, as those of the AI SDK mostly are.
    specialTokensInText: "text",
    sources,
    ...reasoning.options,
    ...tools.options,
    ...(asked && withForm(asked, tools.options)),
    ...own,
  };
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  return { messages, options: Object.fromEntries(given), warnings };
}

function readPrompt(prompt: CallOptions["prompt"]): CallOptions["prompt"] {
  if (Array.isArray(prompt)) return prompt;
  throw new GlimtError("INPUT_INVALID", `prompt: expected a list of messages, found ${shown(prompt)}.`);
}

/** Where calls alone are asked for, the answer is that; where they may be, it is one or the other. */
function withForm(asked: StructuredOptions, { tools, toolChoice }: OfferedTools["options"]): GenerateOptions {
  if (toolChoice === "required" || typeof toolChoice === "object") return {};
  return { structured: asked, ...(tools && { toolChoice: toolChoice ?? "auto" }) };
}

function structuredOptions(format: CallOptions["responseFormat"]): StructuredOptions | undefined {
  if (format?.type !== "json") return undefined;
  return { jsonSchema: format.schema ?? ANY_JSON };
}

function samplingWarnings(
  { temperature, topP, topK }: CallOptions,
  { checkpointSampling }: ReturnType<typeof glimtOptions>,
): Warning[] {
  if ((temperature ?? 0) > 0 || checkpointSampling) return [];
  const idle = Object.entries({ topP, topK }).filter(([, value]) => value !== undefined);
  return idle.map(([name]) => ({
    type: "other",
    message: `${name} has no effect: without a temperature above 0 the most probable token is taken.`,
  }));
}
