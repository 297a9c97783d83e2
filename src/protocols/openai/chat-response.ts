/** A chat's whole answer as OpenAI's object. */

import type { FinishReason } from "../../serving/generation-result.ts";
import type { GenerationChoice, GenerationResult } from "../../serving/run-result.ts";
import { chatLogprobs } from "./chat-logprobs.ts";
import type { ChatAsked } from "./chat-request.ts";
import { resultUsage } from "./usage.ts";

/** What names an answer. */
export interface AnswerName {
  readonly id: string;
  /** Of the model that answers, as it is served. */
  readonly model: string;
  /** Seconds since 1970. */
  readonly created: number;
}

export function writeChatCompletion(result: GenerationResult, asked: ChatAsked, name: AnswerName) {
  return {
    id: name.id,
    object: "chat.completion",
    created: name.created,
    model: name.model,
    choices: result.choices.map((choice, index) => ({
      index,
      message: chatMessage(choice, asked),
      logprobs: chatLogprobs(choice.logprobs),
      finish_reason: finishReason(choice.finishReason, choice.toolCalls.length > 0),
    })),
    usage: resultUsage(result),
  };
}

function chatMessage({ content, reasoning, toolCalls }: GenerationChoice, asked: ChatAsked) {
  const calls = asked.parallelToolCalls ? toolCalls : toolCalls.slice(0, 1);
  return {
    role: "assistant",
    content: content === "" && calls.length > 0 ? null : content,
    refusal: null,
    ...(asked.reasoning && reasoning !== "" && { reasoning, reasoning_content: reasoning }),
    ...(calls.length > 0 && {
      tool_calls: calls.map(({ id, name, arguments: text }) => ({
        id,
        type: "function",
        function: { name, arguments: text },
      })),
    }),
  };
}

/** "stop", "length", "tool_calls", or vLLM's "repetition". */
export function finishReason(reason: FinishReason, hasCalls: boolean): string {
  return reason === "stop" && hasCalls ? "tool_calls" : reason;
}
