/** How much the AI SDK's `reasoning` lets a model think. */
import { GlimtError } from "../errors.ts";
import { shown } from "../given.ts";
import { DEFAULT_MAX_TOKENS, type GenerateOptions } from "../serving/generation-options.ts";
import type { CallOptions, ReasoningLevel, Warning } from "./contract.ts";

/** Most tokens of thinking. */
const BUDGETS: Readonly<Record<Exclude<ReasoningLevel, "provider-default" | "none">, number>> = {
  minimal: 256,
  low: 1024,
  medium: 4096,
  high: 16_384,
  xhigh: 32_768,
  max: Number.POSITIVE_INFINITY,
};
/** Of `maxOutputTokens`, so that something is left for the answer. */
const MOST_OF_OUTPUT = 3 / 4;

export interface Reasoning {
  readonly options: Pick<GenerateOptions, "maxTokens" | "thinkingBudget"> & { enableThinking?: boolean };
  readonly warnings: Warning[];
}

/**
 * @param canThink whether the model's tokenizer has what opens and closes thinking
 * @param context most tokens that the model reads and says
 */
export function reasoningOptions(
  { reasoning = "provider-default", maxOutputTokens }: Pick<CallOptions, "reasoning" | "maxOutputTokens">,
  canThink: boolean,
  context: number,
): Reasoning {
  const maxTokens = maxOutputTokens === undefined ? {} : { maxTokens: maxOutputTokens };
  if (reasoning === "provider-default") return { options: maxTokens, warnings: [] };
  if (reasoning === "none") {
    // Templates that can not leave it out are told by the budget.
    const closed = canThink ? { thinkingBudget: 0 } : {};
    return { options: { ...maxTokens, enableThinking: false, ...closed }, warnings: [] };
  }
  if (!Object.hasOwn(BUDGETS, reasoning)) {
    throw new GlimtError(
      "OPTION_INVALID",
      `reasoning is ${shown(reasoning)}, expected provider-default, none, ${Object.keys(BUDGETS).join(", ")}.`,
    );
  }
  if (!canThink) {
    const details = "This model's tokenizer has no tokens <think> and </think>.";
    return { options: maxTokens, warnings: [{ type: "unsupported", feature: "reasoning", details }] };
  }
  const room = maxOutputTokens === undefined ? context : Math.floor(maxOutputTokens * MOST_OF_OUTPUT);
  const thinkingBudget = Math.min(BUDGETS[reasoning], room);
  // Beside the thinking as many tokens as an answer has without.
  const most = maxOutputTokens ?? Math.min(thinkingBudget + DEFAULT_MAX_TOKENS, context);
  return { options: { maxTokens: most, enableThinking: true, thinkingBudget }, warnings: [] };
}
