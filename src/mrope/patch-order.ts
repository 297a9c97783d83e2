/** The order of a vision tower's rows: frame by frame, and inside a frame by merge blocks, row-major in both. */

import type { GridThw } from "../processor/grid.ts";

/** Calls `visit` with each patch's row index in the batch, and its row, column and grid in its own picture. */
export function forEachPatch(
  grids: readonly GridThw[],
  spatialMergeSize: number,
  visit: (patch: number, row: number, column: number, grid: GridThw) => void,
): void {
  let patch = 0;
  for (const grid of grids) {
    const [t, h, w] = grid;
    for (let frame = 0; frame < t; frame++) {
      for (let blockRow = 0; blockRow < h; blockRow += spatialMergeSize) {
        for (let blockColumn = 0; blockColumn < w; blockColumn += spatialMergeSize) {
          for (let i = 0; i < spatialMergeSize; i++) {
            for (let j = 0; j < spatialMergeSize; j++) visit(patch++, blockRow + i, blockColumn + j, grid);
          }
        }
      }
    }
  }
}
