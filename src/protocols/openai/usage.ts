/** What an answer took, as OpenAI's objects say it. */
import type { PromptUsage } from "../../serving/generation-result.ts";
import type { GenerationEvent, GenerationResult } from "../../serving/run-result.ts";

type Prompt = Pick<PromptUsage, "promptTokens" | "cachedTokens">;

export type Usage = ReturnType<typeof usageOf>;

export function usageOf({ promptTokens, cachedTokens }: Prompt, completionTokens: number) {
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
    prompt_tokens_details: { cached_tokens: cachedTokens },
  };
}

/** Of all choices: the prompt counts once. */
export function resultUsage({ usage, choices }: Pick<GenerationResult, "usage" | "choices">) {
  const tokens = choices.map((choice) => choice.usage.completionTokens);
  return usageOf(usage, sum(tokens));
}

/** What is used so far, by the events that came. */
export class RunningUsage {
  #prompt: Prompt = { promptTokens: 0, cachedTokens: 0 };
  readonly #tokens: number[] = [];

  take({ choice, index, prompt }: GenerationEvent): void {
    if (prompt && choice === 0) this.#prompt = prompt;
    this.#tokens[choice] = index + 1;
  }

  get usage() {
    return usageOf(this.#prompt, sum(this.#tokens));
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + (number ?? 0), 0);
}
