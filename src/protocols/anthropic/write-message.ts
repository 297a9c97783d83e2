/** An answer as Anthropic's API gives it, at once. */
import { readKeptJson } from "../../json/kept.ts";
import type { PromptUsage } from "../../serving/generation-result.ts";
import type { GenerationChoice } from "../../serving/run-result.ts";

/** What a message says beside the answer. */
export interface MessageFrame {
  readonly id: string;
  /** As the request named it. */
  readonly model: string;
  /** Of several calls the first alone is told. */
  readonly oneCall: boolean;
  readonly hidesThinking: boolean;
}

export type ContentBlock =
  | { readonly type: "text"; readonly text: string; readonly citations: null }
  /** Nothing is signed here: the thinking that comes back is read as it is. */
  | { readonly type: "thinking"; readonly thinking: string; readonly signature: "" }
  | { readonly type: "tool_use"; readonly id: string; readonly name: string; readonly input: object };

export type StopReason = "end_turn" | "max_tokens" | "stop_sequence" | "tool_use";

/** Tokens that were read now and those that were kept from requests before count apart, as Anthropic does. */
export interface MessageUsage {
  readonly input_tokens: number;
  readonly cache_creation_input_tokens: number;
  readonly cache_read_input_tokens: number;
  readonly output_tokens: number;
}

export interface AnthropicMessage {
  readonly id: string;
  readonly type: "message";
  readonly role: "assistant";
  readonly model: string;
  readonly content: readonly ContentBlock[];
  readonly stop_reason: StopReason | null;
  readonly stop_sequence: string | null;
  readonly usage: MessageUsage;
}

export function anthropicMessage(result: GenerationChoice, frame: MessageFrame): AnthropicMessage {
  const { reasoning, content, toolCalls } = result;
  const told = frame.oneCall ? toolCalls.slice(0, 1) : toolCalls;
  const calls = told.flatMap(({ id, name, arguments: text }) => {
    const input = callInput(text);
    return input ? [{ type: "tool_use" as const, id, name, input }] : [];
  });
  return {
    ...emptyMessage(frame),
    content: [
      ...(reasoning === "" || frame.hidesThinking
        ? []
        : [{ type: "thinking" as const, thinking: reasoning, signature: "" as const }]),
      ...(content === "" ? [] : [{ type: "text" as const, text: content, citations: null }]),
      ...calls,
    ],
    ...stopOf(result),
    usage: messageUsage(result),
  };
}

/** A message that has said nothing yet. @param prompt undefined: nobody knows yet what was read */
export function emptyMessage({ id, model }: MessageFrame, prompt?: PromptUsage): AnthropicMessage {
  return {
    id,
    type: "message",
    role: "assistant",
    model,
    content: [],
    stop_reason: null,
    stop_sequence: null,
    usage: usageOf(prompt ?? { promptTokens: 0, cachedTokens: 0 }, 0),
  };
}

export function stopOf({ finishReason, matchedStop, toolCalls }: GenerationChoice): {
  readonly stop_reason: StopReason;
  readonly stop_sequence: string | null;
} {
  if (finishReason === "length") return { stop_reason: "max_tokens", stop_sequence: null };
  if (matchedStop !== null) return { stop_reason: "stop_sequence", stop_sequence: matchedStop };
  return { stop_reason: toolCalls.length > 0 ? "tool_use" : "end_turn", stop_sequence: null };
}

export function messageUsage({ usage }: GenerationChoice): MessageUsage {
  return usageOf(usage, usage.completionTokens);
}

function usageOf(
  { promptTokens, cachedTokens }: Pick<PromptUsage, "promptTokens" | "cachedTokens">,
  outputTokens: number,
): MessageUsage {
  return {
    input_tokens: promptTokens - cachedTokens,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: cachedTokens,
    output_tokens: outputTokens,
  };
}

/** Null for a call that the end of the answer cut off, which nobody can run. */
function callInput(text: string): object | null {
  try {
    return readKeptJson(text) as object;
  } catch {
    return null;
  }
}
