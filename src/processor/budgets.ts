/** Largest inputs and token arithmetic, from the processor's configuration alone. */

import type { ImageProcessorConfig } from "../config/types.ts";
import { GlimtError } from "../errors.ts";
import { shown } from "../given.ts";
import { imageSize, readConfig, type VisionSize } from "./sizes.ts";
import { MAX_ASPECT_RATIO } from "./smart-resize.ts";

/** Rows that the vision tower's blocks work on for so many language tokens: mergeSize² patches make one token. */
export function numEncoderTokens(languageTokens: number, mergeSize: number): number {
  checkNumbers({ languageTokens, mergeSize });
  return languageTokens * mergeSize ** 2;
}

/** Rows that the merger gives the language model for so many rows of the vision tower. */
export function numConnectorTokens(encoderTokens: number, mergeSize: number): number {
  checkNumbers({ encoderTokens, mergeSize });
  return Math.floor(encoderTokens / mergeSize ** 2);
}

/**
 * The image size that becomes the most tokens, and no more than `mostTokens` (unless the processor's least size is
 * more): of the rectangles of merge blocks that
 * the area limit allows, the largest, and of those of one area the squarest. Resizing leaves it as it is.
 *
 * Not counted: a strip that shrinking would make thinner than a block keeps one block's width and may so pass the limit.
 */
export function imageSizeWithMostFeatures(
  config: ImageProcessorConfig,
  mostTokens = Number.POSITIVE_INFINITY,
): VisionSize {
  const { maxPixels, temporalPatchSize, patchSize, mergeSize } = readConfig(config);
  for (const [name, value] of Object.entries({ maxPixels, mostTokens })) {
    if (typeof value === "number" && value >= 1) continue;
    throw new GlimtError("INPUT_INVALID", `${name} is ${shown(value)}, expected a number from 1.`);
  }
  const side = patchSize * mergeSize;
  const limit = Math.min(mostTokens, Math.floor(maxPixels / (temporalPatchSize * side ** 2)));
  for (let blocks = Math.max(1, Math.floor(limit)); blocks > 1; blocks--) {
    const rows = squarestDivisor(blocks);
    if (blocks / rows ** 2 <= MAX_ASPECT_RATIO) return imageSize((blocks / rows) * side, rows * side, config);
  }
  return imageSize(side, side, config);
}

/** The largest divisor that is not above the square root. */
function squarestDivisor(value: number): number {
  for (let divisor = Math.floor(Math.sqrt(value)); divisor > 1; divisor--) {
    if (value % divisor === 0) return divisor;
  }
  return 1;
}

function checkNumbers(numbers: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(numbers)) {
    if (typeof value === "number") continue;
    throw new GlimtError("INPUT_INVALID", `${name} is ${shown(value)}, expected a number.`);
  }
}
