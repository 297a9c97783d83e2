/** What the vision tower needs to know of a batch's grids: rotary table, attention borders, table coordinates. */

import type { VisionConfig } from "../config/types.ts";
import { GlimtError } from "../errors.ts";
import { type GridThw, numPatches } from "../processor/grid.ts";
import { forEachPatch } from "./patch-order.ts";
import { visionRotaryTable } from "./rotary.ts";

/** The sizes of one encoder program: any batch up to them can be padded to exactly them. */
export interface EncoderBudget {
  /** Rows of pixelValues, a multiple of spatialMergeSize². */
  readonly patches: number;
  /** Attention sequences: one an image, one a temporal patch of a video. */
  readonly frames: number;
}

/** The tower's inputs beside the pixels, under the names of its program. */
export interface EncoderMetadata {
  readonly cos: Float32Array;
  readonly sin: Float32Array;
  readonly cuSeqlens: Int32Array;
  /** Only for towers with a position table. */
  readonly positionCoords?: Float32Array;
}

/** Values of the encoder program's symbols. */
export interface EncoderSymbols {
  readonly patches: number;
  readonly frames: number;
}

export interface EncoderPreparation {
  readonly symbols: EncoderSymbols;
  readonly metadata: EncoderMetadata;
  /** Longest sequence: with a budget, of any batch that is padded to it, else of this one. */
  readonly maxSeqlen: number;
}

/**
 * Everything the tower reads of a batch beside its pixels. With a budget, rows of zeros follow the batch's own up to
 * `budget.patches`; they attend only to each other, in sequences behind the real ones, so no real row changes. There
 * is one sequence more than `budget.frames`, which the padding needs when the batch has that many frames.
 *
 * @throws INPUT_INVALID when the batch exceeds the budget.
 */
export function prepareEncoderMetadata(
  grids: readonly GridThw[],
  config: Pick<VisionConfig, "spatialMergeSize" | "headDim" | "ropeTheta" | "positionTableSide">,
  budget?: EncoderBudget,
): EncoderPreparation {
  const { spatialMergeSize, headDim, ropeTheta: theta, positionTableSide } = config;
  const cuSeqlens = visionCuSeqlens(grids);
  const real = { patches: cuSeqlens.at(-1) as number, frames: cuSeqlens.length - 1 };
  if (budget && (real.patches > budget.patches || real.frames > budget.frames)) {
    throw new GlimtError(
      "INPUT_INVALID",
      `A batch of ${real.patches} patches in ${real.frames} frames exceeds the encoder budget of ` +
        `${budget.patches} patches in ${budget.frames} frames.`,
    );
  }
  const symbols = budget ? { patches: budget.patches, frames: budget.frames + 1 } : real;
  const { cos, sin } = visionRotaryTable(grids, { spatialMergeSize, headDim, theta });
  const metadata = {
    cos: padded(cos, (symbols.patches * headDim) / 2),
    sin: padded(sin, (symbols.patches * headDim) / 2),
    cuSeqlens: padSequences(cuSeqlens, symbols),
  };
  const maxSeqlen = budget ? budget.patches : visionMaxSeqlen(grids);
  if (positionTableSide === null) return { symbols, metadata, maxSeqlen };
  const coords = positionTableCoords(grids, positionTableSide, spatialMergeSize);
  const positionCoords = padded(coords, symbols.patches * 2);
  return { symbols, metadata: { ...metadata, positionCoords }, maxSeqlen };
}

/** `values` with zeros behind them; the same array when it is long enough. */
function padded(values: Float32Array, length: number): Float32Array {
  if (values.length === length) return values;
  const all = new Float32Array(length);
  all.set(values);
  return all;
}

/** Shares the padding rows out among the sequences left, since attention costs the square of a sequence. */
function padSequences(cuSeqlens: Int32Array, { patches, frames }: EncoderSymbols): Int32Array {
  const used = cuSeqlens.length - 1;
  if (used === frames) return cuSeqlens;
  const end = cuSeqlens[used] as number;
  const each = Math.ceil((patches - end) / (frames - used));
  return Int32Array.from({ length: frames + 1 }, (_, i) =>
    i <= used ? (cuSeqlens[i] as number) : Math.min(patches, end + (i - used) * each),
  );
}

/** Cumulative patch counts [0, n1, n1 + n2, ...], one sequence a frame: attention never leaves a frame. */
export function visionCuSeqlens(grids: readonly GridThw[]): Int32Array {
  const borders = [0];
  for (const [t, h, w] of grids) {
    for (let frame = 0; frame < t; frame++) borders.push((borders.at(-1) as number) + h * w);
  }
  return Int32Array.from(borders);
}

/** Length of the longest sequence in visionCuSeqlens, 0 for an empty batch. */
export function visionMaxSeqlen(grids: readonly GridThw[]): number {
  return grids.reduce((most, [t, h, w]) => (t > 0 ? Math.max(most, h * w) : most), 0);
}

/**
 * Where each patch samples the learned side x side position table: Float32Array [patches, 2] of (x, y), x along the
 * width, in units of table cells (0 is the centre of the first). Rows are in merge-block order.
 *
 * float32 with the reference's order of operations: the patch centre is normalised to [-1, 1] by the picture's own
 * grid (Glm4vVisionEmbeddings), then unnormalised as torch's grid_sample does with align_corners false. Coordinates
 * are not clamped: the border rule applies to the cells that are read.
 */
export function positionTableCoords(
  grids: readonly GridThw[],
  side: number,
  spatialMergeSize: number,
): Float32Array {
  const coords = new Float32Array(2 * grids.reduce((sum, grid) => sum + numPatches(grid), 0));
  forEachPatch(grids, spatialMergeSize, (patch, row, column, [, h, w]) => {
    coords[2 * patch] = tableCoordinate(column, w, side);
    coords[2 * patch + 1] = tableCoordinate(row, h, side);
  });
  return coords;
}

function tableCoordinate(index: number, length: number, side: number): number {
  const f = Math.fround;
  const normalised = f(f(f((index + 0.5) / length) * 2) - 1);
  return f(f(f(normalised + 1) * side) - 1) / 2;
}
