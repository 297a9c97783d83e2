/** Which features of a prompt's videos are read when these are pruned, told from the features where they lie. */
import type { Engine } from "../backends/backend.ts";
import { turnWhenDue } from "../event-loop.ts";
import { differences, FIRST_FRAME, mostDifferent } from "../processor/video-pruning.ts";
import type { KeptMedia } from "../prompt/keep-media-rows.ts";
import type { PlacedMedia } from "../prompt/layout.ts";
import { numKeptFeatures } from "../prompt/pruned-media.ts";
import { toFloat32 } from "../tensor/elements.ts";
import type { FeatureRange, FeatureSlab } from "./feature-slab.ts";

/** Values that are read back in one go, of two frames each: the host holds no more, however long the video is. */
const VALUES_A_READ = 2 ** 18;

export interface Pruning {
  /** Their features, one after another, are all that were encoded. */
  readonly media: readonly PlacedMedia[];
  /** Of videos, see `retainedTokens`. */
  readonly rate: number;
}

/** Where features lie. */
export interface EncodedFeatures {
  readonly engine: Engine;
  readonly slab: FeatureSlab;
  readonly range: FeatureRange;
}

/** A mask for each image and video, null where all is kept. While nothing else uses the engine. @throws ABORTED, DISPOSED */
export async function pruneVideos(
  encoded: EncodedFeatures,
  { media, rate }: Pruning,
  signal?: AbortSignal,
): Promise<KeptMedia> {
  const kept: (Uint8Array | null)[] = [];
  for (const item of media) {
    const count = numKeptFeatures(item, rate);
    const isWhole = count === item.numFeatures;
    kept.push(isWhole ? null : mostDifferent(await differencesOf(encoded, item, signal), count));
  }
  return kept;
}

/** Of each token of a video from the one a frame before, [frames, tokens a frame]. Every feature is read once. */
async function differencesOf(
  { engine, slab, range }: EncodedFeatures,
  { firstFeature, numFeatures, gridThw: [frames] }: PlacedMedia,
  signal: AbortSignal | undefined,
): Promise<Float32Array> {
  const tokensPerFrame = numFeatures / frames;
  const found = new Float32Array(numFeatures).fill(FIRST_FRAME, 0, tokensPerFrame);
  const rowsARead = Math.max(1, Math.floor(VALUES_A_READ / slab.cols));
  for (let first = 0; first < tokensPerFrame; first += rowsARead) {
    const rows = Math.min(rowsARead, tokensPerFrame - first);
    let before: Float32Array | null = null;
    for (let frame = 0; frame < frames; frame++) {
      const token = frame * tokensPerFrame + first;
      const { tensor, firstRow } = range.deviceRows(firstFeature + token, rows);
      const after = toFloat32(slab.dtype, await engine.read(tensor, firstRow, rows));
      if (before) found.set(differences(before, after, slab.cols), token);
      before = after;
      await turnWhenDue(signal);
    }
  }
  return found;
}
