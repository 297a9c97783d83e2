/** Sizes that the encoder pads its runs to: as asked, or what a backend gains from. */
import type { Backend } from "../backends/backend.ts";
import type { EncoderBudget } from "../mrope/vision-metadata.ts";
import type { Processor } from "../prompt/processor.ts";
import { encoderBudget, encoderBudgets } from "../runtime/encoder-batch.ts";
import type { LoadOptions } from "./load-options.ts";

/** Features of an image of 224 x 224 pixels with patches of 14. */
const SMALLEST_BUDGET = 64;
/**
 * Default where runs are replayed: up to about here launching a block's kernels takes the host as long as they run.
 * Above, replaying saves nothing, and padding costs up to as much again (docs/gpu.md reckons it).
 */
const REPLAYED_BUDGETS = [SMALLEST_BUDGET, 128, 256];

export function resolveBudgets(
  asked: LoadOptions["encoderTokenBudgets"],
  { replaysRuns = false }: Pick<Backend, "replaysRuns">,
  { checkpoint, sizes }: Processor,
): EncoderBudget[] {
  const { spatialMergeSize } = checkpoint.config.vision;
  if (asked === "auto") {
    return encoderBudgets(SMALLEST_BUDGET, sizes.imageSizeWithMostFeatures().numTokens, spatialMergeSize);
  }
  const tokens = asked ?? (replaysRuns ? REPLAYED_BUDGETS : []);
  return tokens.map((count) => encoderBudget(count, spatialMergeSize));
}
