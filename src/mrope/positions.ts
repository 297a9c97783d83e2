/** M-RoPE: the time, height and width position of every prompt token, and how far decoding is shifted against them. */

import { GlimtError } from "../errors.ts";
import { copiedLists, readFields, readNumbers, shown } from "../given.ts";
import { type GridThw, numMergedTokens } from "../processor/grid.ts";

/** One Int32Array a rotary axis, each as long as the sequence. */
export type PositionIds = [t: Int32Array, h: Int32Array, w: Int32Array];

/** Pictures and videos of the prompt. */
export interface MropeOptions {
  /** Patch grids in prompt order. */
  readonly imageGridThw?: readonly GridThw[];
  /** The same of videos. */
  readonly videoGridThw?: readonly GridThw[];
  /** Patches a side that become one token. */
  readonly spatialMergeSize: number;
  /**
   * "frames" (default, Hugging Face's reference): each temporal patch of a video is a picture of its own, with its
   * timestamp as text behind it. "block": a video is one t x h x w block of adjacent tokens, as vLLM lays out a
   * video without timestamps.
   */
  readonly videoLayout?: "frames" | "block";
}

/** Positions of a prompt's tokens. */
export interface MropePositions {
  /** (3, s): time, height and width. */
  readonly positionIds: PositionIds;
  /** Largest position + 1 - length: token i of the continuation has position i + ropeDelta on every axis. */
  readonly ropeDelta: number;
}

const MODALITY = ["text", "image", "video"] as const;

/**
 * Positions of one prompt. Text advances all axes by one. A picture of merged grid (h, w) at position p keeps T at p,
 * runs H and W over p.. p+h-1 and p.. p+w-1, and advances the position by max(h, w).
 *
 * Grids are consumed by the tokens they stand for, not by runs of equal type, so two pictures may be adjacent.
 *
 * @param types 0 text, 1 image, 2 video, one a token.
 * @throws INPUT_INVALID when tokens and grids do not match.
 */
export function mropePositions(types: ArrayLike<number>, given: MropeOptions): MropePositions {
  const mmTokenTypeIds = readNumbers(types, "mmTokenTypeIds");
  const options = readFields(given, "mropePositions", OPTION_NAMES);
  const { spatialMergeSize } = options;
  const layout = options.videoLayout ?? "frames";
  if (layout !== "frames" && layout !== "block") {
    throw new GlimtError(
      "OPTION_INVALID",
      `videoLayout is ${shown(layout)}; it must be "frames" or "block".`,
    );
  }
  if (!Number.isInteger(spatialMergeSize) || spatialMergeSize < 1) {
    throw new GlimtError(
      "INPUT_INVALID",
      `spatialMergeSize is ${shown(spatialMergeSize)}, expected a whole number from 1.`,
    );
  }
  const imageGrids = readGrids(options.imageGridThw, "imageGridThw");
  const videoGrids = readGrids(options.videoGridThw, "videoGridThw");
  for (const grid of imageGrids) {
    if (grid[0] !== 1) {
      throw new GlimtError(
        "INPUT_INVALID",
        `Image grid ${grid.join(" x ")} has ${grid[0]} frames; an image has one.`,
      );
    }
  }
  const queues = {
    1: gridQueue("image", imageGrids),
    2: gridQueue("video", layout === "frames" ? videoGrids.flatMap(splitFrames) : videoGrids),
  };

  const length = mmTokenTypeIds.length;
  const positionIds: PositionIds = [new Int32Array(length), new Int32Array(length), new Int32Array(length)];
  const [t, h, w] = positionIds;
  let position = 0;
  let index = 0;
  while (index < length) {
    const type = mmTokenTypeIds[index];
    if (type === 0) {
      t[index] = h[index] = w[index] = position;
      position += 1;
      index += 1;
    } else if (type === 1 || type === 2) {
      const grid = queues[type].next(index);
      checkRun(mmTokenTypeIds, index, type, grid, spatialMergeSize);
      index = placeGrid(positionIds, index, position, grid, spatialMergeSize);
      position += extent(grid, spatialMergeSize, type === 2 && layout === "block");
    } else {
      throw new GlimtError("INPUT_INVALID", `Token ${index} has type ${type}; types are 0, 1 and 2.`);
    }
  }
  queues[1].finish();
  queues[2].finish();
  return { positionIds, ropeDelta: position - length };
}

const OPTION_NAMES = ["imageGridThw", "videoGridThw", "spatialMergeSize", "videoLayout"] as const;

function readGrids(given: unknown, name: string): GridThw[] {
  const grids = copiedLists(given ?? [], name, 2);
  const isGrid = (grid: unknown) =>
    Array.isArray(grid) && grid.length === 3 && grid.every((side) => Number.isSafeInteger(side) && side >= 1);
  if (!Array.isArray(grids))
    throw new GlimtError("INPUT_INVALID", `${name} is ${shown(grids)}, expected a list.`);
  const wrong = grids.findIndex((grid) => !isGrid(grid));
  if (wrong < 0) return grids;
  throw new GlimtError(
    "INPUT_INVALID",
    `${name}[${wrong}] is ${shown(grids[wrong])}, expected three whole numbers from 1: t, h and w.`,
  );
}

/** Positions of text tokens start .. start+count-1 of a sequence whose prompt had this ropeDelta, for decoding. */
export function textPositions(start: number, count: number, ropeDelta: number): PositionIds {
  const axis = Int32Array.from({ length: count }, (_, i) => start + i + ropeDelta);
  return [axis, axis.slice(), axis.slice()];
}

function splitFrames([t, h, w]: GridThw): GridThw[] {
  return Array.from({ length: t }, () => [1, h, w] as const);
}

/** Writes one merged grid at `index` and returns the index behind it. */
function placeGrid(
  [time, height, width]: PositionIds,
  index: number,
  position: number,
  [t, h, w]: GridThw,
  mergeSize: number,
): number {
  const rows = Math.floor(h / mergeSize);
  const columns = Math.floor(w / mergeSize);
  let next = index;
  for (let frame = 0; frame < t; frame++) {
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        time[next] = position + frame;
        height[next] = position + row;
        width[next] = position + column;
        next += 1;
      }
    }
  }
  return next;
}

/** How far a grid moves the position: its longest merged side; a block of frames counts its time axis too. */
function extent([t, h, w]: GridThw, mergeSize: number, isBlock: boolean): number {
  const side = Math.floor(Math.max(h, w) / mergeSize);
  return isBlock ? Math.max(t, side) : side;
}

function checkRun(
  types: ArrayLike<number>,
  index: number,
  type: 1 | 2,
  grid: GridThw,
  mergeSize: number,
): void {
  const expected = numMergedTokens(grid, mergeSize);
  let found = 0;
  while (found < expected && types[index + found] === type) found += 1;
  if (found < expected || expected === 0) {
    throw new GlimtError(
      "INPUT_INVALID",
      `The ${MODALITY[type]} at token ${index} has grid ${grid.join(" x ")}, which stands for ${expected} tokens, ` +
        `but ${found} ${MODALITY[type]} tokens follow.`,
    );
  }
}

function gridQueue(modality: "image" | "video", grids: readonly GridThw[]) {
  let used = 0;
  return {
    next(index: number): GridThw {
      const grid = grids[used];
      if (grid === undefined) {
        throw new GlimtError(
          "INPUT_INVALID",
          `Token ${index} starts a further ${modality}, but there are only ${grids.length} ${modality} grids ` +
            `(a video has one a frame pair).`,
        );
      }
      used += 1;
      return grid;
    },
    finish(): void {
      if (used !== grids.length) {
        throw new GlimtError(
          "INPUT_INVALID",
          `The prompt has tokens for ${used} ${modality} grids, but ${grids.length} were given ` +
            `(a video has one a frame pair).`,
        );
      }
    },
  };
}
