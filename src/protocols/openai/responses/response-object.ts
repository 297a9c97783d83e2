/** A whole response as OpenAI's object, and the items of its output. */
import type { FinishReason, RequestResult } from "../../../serving/generation-result.ts";
import type { GenerationResult } from "../../../serving/run-result.ts";
import type { TokenLogprob } from "../../../serving/token-logprobs.ts";
import { newId } from "../../ids.ts";
import { chatLogprob } from "../chat-logprobs.ts";
import type { AnswerName } from "../chat-response.ts";
import type { ResponseAsked } from "./response-request.ts";

export type ItemStatus = "in_progress" | "completed" | "incomplete";

export const reasoningPart = (text: string) => ({ type: "reasoning_text", text });

export const textPart = (text: string, logprobs: readonly TokenLogprob[] = []) => ({
  type: "output_text",
  text,
  annotations: [],
  logprobs: logprobs.map(chatLogprob),
});

export function reasoningItem(id: string, content: readonly object[], status: ItemStatus) {
  return { id, type: "reasoning", summary: [], content, status };
}

export function messageItem(id: string, content: readonly object[], status: ItemStatus) {
  return { id, type: "message", role: "assistant", content, status };
}

export function callItem(id: string, callId: string, name: string, text: string, status: ItemStatus) {
  return { id, type: "function_call", call_id: callId, name, arguments: text, status };
}

export function writeResponse(result: GenerationResult, asked: ResponseAsked, name: AnswerName) {
  const { reasoning, content, toolCalls, logprobs, finishReason, usage } = result;
  const status = itemStatus(finishReason);
  const calls = asked.parallelToolCalls ? toolCalls : toolCalls.slice(0, 1);
  const output = [
    ...(reasoning === "" ? [] : [reasoningItem(newId("rs_"), [reasoningPart(reasoning)], status)]),
    ...(content === "" && calls.length > 0
      ? []
      : [messageItem(newId("msg_"), [textPart(content, logprobs)], status)]),
    ...calls.map((call) => callItem(newId("fc_"), call.id, call.name, call.arguments, status)),
  ];
  return responseObject(asked, name, output, { finishReason, usage });
}

/** @param end null: it goes on */
export function responseObject(
  asked: ResponseAsked,
  { id, model, created }: AnswerName,
  output: readonly object[],
  end: { readonly finishReason: FinishReason; readonly usage: RequestResult["usage"] } | null,
) {
  const isCut = end !== null && end.finishReason !== "stop";
  return {
    id,
    object: "response",
    created_at: created,
    status: end === null ? "in_progress" : itemStatus(end.finishReason),
    error: null,
    incomplete_details: isCut
      ? { reason: end.finishReason === "length" ? "max_output_tokens" : end.finishReason }
      : null,
    model,
    ...asked.repeated,
    output,
    usage: end && usageOf(end.usage),
  };
}

export function itemStatus(reason: FinishReason): ItemStatus {
  return reason === "stop" ? "completed" : "incomplete";
}

/** Tokens of thinking are not counted apart. */
function usageOf({ promptTokens, cachedTokens, completionTokens }: RequestResult["usage"]) {
  return {
    input_tokens: promptTokens,
    input_tokens_details: { cached_tokens: cachedTokens },
    output_tokens: completionTokens,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens: promptTokens + completionTokens,
  };
}
