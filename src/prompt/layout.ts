/** How a prompt is laid out: ids and positions row by row, and where its images and videos stand. Plain data. */
import { mropePositions, type PositionIds } from "../mrope/positions.ts";
import { type GridThw, numMergedTokens } from "../processor/grid.ts";
import type { VideoLayout } from "../processor/placeholders.ts";

/** What the decoder reads of a prompt, row by row. */
export interface PromptRows {
  /** Ids to look up, one a row; rows that take a feature ignore theirs. */
  readonly inputIds: readonly number[];
  readonly positionIds: PositionIds;
  /** Row i of the continuation, counted from the first row of the prompt, has position i + ropeDelta on every axis. */
  readonly ropeDelta: number;
  /** The feature that each row takes in place of an embedding, counted over all media of the prompt; -1 for none. */
  readonly features: Int32Array;
}

/** Rows of a prompt that lie side by side. */
export interface RowSpan {
  /** The first of them. */
  readonly start: number;
  /** How many. */
  readonly length: number;
}

/** An image or a video in a prompt. */
export interface PlacedMedia {
  /** What it is. */
  readonly type: "image" | "video";
  /** Patches, before merging. */
  readonly gridThw: GridThw;
  /** Rows that take its features, in order; those of a video lie apart where text stands between its frames. */
  readonly spans: readonly RowSpan[];
  /** Its features, in the order of t, h and w, are [firstFeature, firstFeature + numFeatures) of the prompt's. */
  readonly firstFeature: number;
  readonly numFeatures: number;
}

/** A prompt with all rows of its media. */
export interface PromptLayout extends PromptRows {
  /** In the order in which they begin. */
  readonly media: readonly PlacedMedia[];
}

export interface LayoutOptions {
  /** In prompt order. */
  readonly imageGridThw?: readonly GridThw[] | undefined;
  readonly videoGridThw?: readonly GridThw[] | undefined;
  readonly spatialMergeSize: number;
  readonly videoLayout?: VideoLayout | undefined;
}

/**
 * @param mmTokenTypeIds 0 text, 1 image, 2 video; one an id.
 * @throws INPUT_INVALID when tokens and grids do not match.
 */
export function layOutPrompt(
  inputIds: readonly number[],
  mmTokenTypeIds: ArrayLike<number>,
  { imageGridThw = [], videoGridThw = [], spatialMergeSize, videoLayout = "frames" }: LayoutOptions,
): PromptLayout {
  const grids = { imageGridThw, videoGridThw };
  const positions = mropePositions(mmTokenTypeIds, { ...grids, spatialMergeSize, videoLayout });
  const media = placeMedia(mmTokenTypeIds, grids, spatialMergeSize);
  const features = new Int32Array(inputIds.length).fill(-1);
  for (const { spans, firstFeature } of media) {
    let feature = firstFeature;
    for (const { start, length } of spans) {
      for (let row = start; row < start + length; row++) features[row] = feature++;
    }
  }
  return { inputIds, ...positions, features, media };
}

/** Rows that stand for images and videos. */
export function numMediaRows({ media }: PromptLayout): number {
  return media.reduce((sum, { numFeatures }) => sum + numFeatures, 0);
}

interface OpenMedia extends PlacedMedia {
  readonly spans: { start: number; length: number }[];
  /** Features whose rows are still to come. */
  left: number;
}

/** Tokens and grids must match. */
function placeMedia(
  types: ArrayLike<number>,
  { imageGridThw, videoGridThw }: Record<"imageGridThw" | "videoGridThw", readonly GridThw[]>,
  spatialMergeSize: number,
): PlacedMedia[] {
  const grids = { 1: imageGridThw.values(), 2: videoGridThw.values() };
  const open: { 1: OpenMedia | null; 2: OpenMedia | null } = { 1: null, 2: null };
  const media: OpenMedia[] = [];
  let firstFeature = 0;
  for (let row = 0; row < types.length; row++) {
    const type = types[row];
    if (type !== 1 && type !== 2) continue;
    let item = open[type];
    if (!item || item.left === 0) {
      const gridThw = grids[type].next().value as GridThw;
      const numFeatures = numMergedTokens(gridThw, spatialMergeSize);
      const name = type === 1 ? "image" : "video";
      item = { type: name, gridThw, spans: [], firstFeature, numFeatures, left: numFeatures };
      firstFeature += numFeatures;
      open[type] = item;
      media.push(item);
    }
    const last = item.spans.at(-1);
    if (last && last.start + last.length === row) last.length += 1;
    else item.spans.push({ start: row, length: 1 });
    item.left -= 1;
  }
  return media.map(({ left: _, ...item }) => item);
}
