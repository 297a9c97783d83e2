/** What the AI SDK is told of an answer that ended. */
import type { FinishReason } from "../serving/generation-result.ts";
import type { GenerationResult } from "../serving/run-result.ts";
import type { EndReason, JsonObject, JsonValue, Usage } from "./contract.ts";

/** Of an answer that ended with an error. */
export const FAILED: EndReason = { unified: "error", raw: undefined };
export const NOT_COUNTED: Usage = {
  inputTokens: { total: undefined, noCache: undefined, cacheRead: undefined, cacheWrite: undefined },
  outputTokens: { total: undefined, text: undefined, reasoning: undefined },
};

export function endReason({ finishReason }: { finishReason: FinishReason }, hasCalls: boolean): EndReason {
  const unified = { stop: "stop", length: "length", repetition: "other" } as const;
  const called = finishReason === "stop" && hasCalls;
  return { unified: called ? "tool-calls" : unified[finishReason], raw: finishReason };
}

/** @param reasoning tokens of the answer that are thinking */
export function usageOf({ usage }: Pick<GenerationResult, "usage">, reasoning: number): Usage {
  const { promptTokens, cachedTokens, completionTokens } = usage;
  return {
    inputTokens: {
      total: promptTokens,
      noCache: promptTokens - cachedTokens,
      cacheRead: cachedTokens,
      // What a prompt leaves in the cache is not counted by request.
      cacheWrite: undefined,
    },
    outputTokens: { total: completionTokens, text: completionTokens - reasoning, reasoning },
    raw: { ...usage },
  };
}

export function metadataOf({ seed, boxed, timings, usage, logprobs }: GenerationResult): JsonObject {
  return {
    seed,
    boxed,
    visionTokens: usage.visionTokens,
    timings: { ...timings },
    ...(logprobs && { logprobs: logprobs as unknown as JsonValue }),
  };
}
