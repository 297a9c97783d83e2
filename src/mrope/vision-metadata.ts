/** What the vision tower needs to know of a batch's grids beside the rotary table: attention borders, table coordinates. */

import { type GridThw, numPatches } from "../processor/grid.ts";
import { forEachPatch } from "./patch-order.ts";

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
