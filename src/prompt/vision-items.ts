/** Images and videos as a prompt holds them: patches of pixels, or features that were encoded before. */
import type { VisionConfig } from "../config/types.ts";
import { GlimtError } from "../errors.ts";
import { type GridThw, numPatches } from "../processor/grid.ts";

/** What an image or video may be known by. */
export interface NamedItem {
  /** Says in place of its values which one it is (`MediaName` of its part). */
  readonly uuid?: string | undefined;
  /** Of a video with a `uuid`: the timestamp texts of its temporal patches; at other times it is another. */
  readonly labels?: readonly string[] | undefined;
}

/** Patches of one image or video, f32 [t*h*w, channels * temporal * patch²], in merge-block order. */
export interface EncoderItem extends NamedItem {
  /** f32 [patches, channels * temporal * patch²]. */
  readonly pixelValues: Float32Array;
  /** Patches in time, height and width. */
  readonly gridThw: GridThw;
}

/** Features that were encoded before, f32 [features, outHiddenSize]. */
export interface EmbeddedItem extends NamedItem {
  /** f32 [features, hidden size]. */
  readonly embeddings: Float32Array;
  /** Of one with a `uuid`: patches, before merging. */
  readonly gridThw?: GridThw | undefined;
}

/** An image or video in the order of a prompt, as pixels or as features. */
export type VisionItem = EncoderItem | EmbeddedItem;

/**
 * A copy of what the caller may write to while it waits: what was hashed is what is encoded, or features would be kept
 * under the hash of others, and found by those who ask for these.
 */
export function ownItem(item: VisionItem, arePixelsGiven: boolean): VisionItem {
  if ("embeddings" in item) return { ...item, embeddings: item.embeddings.slice() };
  return arePixelsGiven ? { ...item, pixelValues: item.pixelValues.slice() } : item;
}

/** Patches of several items, one after another, as processors return them. */
export interface EncoderBatch {
  /** f32 [patches of all items, channels * temporal * patch²] */
  readonly pixelValues: Float32Array;
  /** One an item, in the order of the patches. */
  readonly gridThw: readonly GridThw[];
}

/** The items of a batch that `indices` name, in that order; their pixels are views of the batch's. */
export function selectEncoderItems(
  { pixelValues, gridThw }: EncoderBatch,
  indices: readonly number[],
): EncoderItem[] {
  const starts = [0];
  for (const grid of gridThw) starts.push((starts.at(-1) as number) + numPatches(grid));
  const patches = starts.at(-1) as number;
  const width = patches === 0 ? 0 : pixelValues.length / patches;
  if (!Number.isInteger(width)) {
    throw new GlimtError(
      "INPUT_INVALID",
      `pixelValues has ${pixelValues.length} values, which are no whole number for each of the ${patches} patches of its grids.`,
    );
  }
  return indices.map((index) => {
    const grid = gridThw[index];
    if (!grid) {
      throw new GlimtError("INPUT_INVALID", `Item ${index} is not in a batch of ${gridThw.length} items.`);
    }
    const end = (starts[index] as number) + numPatches(grid);
    return {
      pixelValues: pixelValues.subarray((starts[index] as number) * width, end * width),
      gridThw: grid,
    };
  });
}

/** Values in one patch: a row of pixelValues. */
export function patchElements({ inChannels, temporalPatchSize, patchSize }: VisionConfig): number {
  return inChannels * temporalPatchSize * patchSize ** 2;
}
