/** What a token of an answer attends to, laid over the images and videos of its prompt. */
import { GlimtError } from "../errors.ts";
import { numPatches } from "../processor/grid.ts";
import type { ProcessedInputs } from "./processed-inputs.ts";

/** Of one image or video. */
export interface MediaAttention {
  /** Which of the two it is. */
  readonly type: "image" | "video";
  /** [t, h, w] in tokens, each of which stands for some patches (2 x 2 in all models so far); of an image t is 1. */
  readonly grid: readonly [t: number, h: number, w: number];
  /** One a token, row by row, frame by frame. What they and those of other media lack of 1 goes to text. */
  readonly weights: Float32Array;
}

/**
 * Each image and video of a prompt with its part of what a token attends to, in the order in which they stand.
 *
 * @param prompt what `process` gave
 * @param attention `event.attention` of a token of an answer to it
 * @throws INPUT_INVALID when they are not of one prompt
 */
export function attentionOverMedia(
  { inputIds, media }: Pick<ProcessedInputs, "inputIds" | "media">,
  attention: Float32Array,
): MediaAttention[] {
  if (attention.length < inputIds.length) {
    throw new GlimtError(
      "INPUT_INVALID",
      `attention has ${attention.length} weights, and the prompt ${inputIds.length} tokens: it is of another prompt.`,
    );
  }
  return media.map(({ type, gridThw, spans, numTokens }) => {
    const mergeSize = Math.sqrt(numPatches(gridThw) / numTokens);
    const [t, h, w] = gridThw;
    const weights = new Float32Array(numTokens);
    let token = 0;
    for (const { start, length } of spans) {
      weights.set(attention.subarray(start, start + length), token);
      token += length;
    }
    return { type, grid: [t, h / mergeSize, w / mergeSize], weights };
  });
}
