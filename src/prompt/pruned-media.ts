/** How much of a prompt is read when its videos are pruned, which is known before they are encoded; and by what it is asked. */
import { GlimtError } from "../errors.ts";
import { shown } from "../given.ts";
import { retainedTokens } from "../processor/video-pruning.ts";
import type { PlacedMedia, PromptLayout } from "./layout.ts";

/** @param rate 0 prunes nothing @returns features of it whose rows are read: all of an image */
export function numKeptFeatures(
  { type, gridThw: [frames], numFeatures }: Pick<PlacedMedia, "type" | "gridThw" | "numFeatures">,
  rate: number,
): number {
  return type === "image" ? numFeatures : retainedTokens(numFeatures / frames, frames, rate);
}

/** Rows of a prompt that are left out. */
export function numPrunedRows({ media }: Pick<PromptLayout, "media">, rate: number): number {
  return media.reduce((sum, item) => sum + item.numFeatures - numKeptFeatures(item, rate), 0);
}

/** @throws OPTION_INVALID */
export function checkVideoPruning(rate: unknown): void {
  if (typeof rate === "number" && rate >= 0 && rate < 1) return;
  throw new GlimtError(
    "OPTION_INVALID",
    `videoPruning is ${shown(rate)}, expected the share of a video's tokens to leave out: a number from 0 and below 1.`,
  );
}
