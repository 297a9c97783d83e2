/**
 * Products of weights in blocks: activations meet them as 8-bit blocks too, so that a block's products are one exact
 * integer sum. Each step is rounded to float32 and none is fused with another, so that all backends that compute so agree
 * to the bit.
 */
import type { BlockParts } from "../../tensor/block-parts.ts";
import { BLOCK_COLS, largestMagnitude } from "../../tensor/blocks.ts";

/** Rows of integers, with a scale for each block of a row. */
export interface BlockRows {
  readonly cols: number;
  readonly quants: Int8Array;
  readonly scales: Float32Array;
}

export function blockRows(rows: number, cols: number): BlockRows {
  return {
    cols,
    quants: new Int8Array(rows * cols),
    scales: new Float32Array((rows * cols) / BLOCK_COLS),
  };
}

/** A row's integers and scales, in place. */
export function partOf({ cols, quants, scales }: BlockRows, row: number): [Int8Array, Float32Array] {
  const blocks = cols / BLOCK_COLS;
  return [quants.subarray(row * cols, (row + 1) * cols), scales.subarray(row * blocks, (row + 1) * blocks)];
}

/** Activations as blocks. */
export interface QuantisedRows extends BlockRows {
  /** Of each block the sum of its integers, times its scale: what the minima of weights are multiplied with. */
  readonly sums: Float32Array;
}

/** Below this no inverse is taken: the block counts as zeros. */
export const LEAST_MAGNITUDE = 2 ** -100;

/**
 * Activations in rows of `cols` columns as blocks: scale = amax / 127, q = x * (127 / amax) to the nearest, ties to even. What is
 * not finite makes its block's scale so, and thereby all that the row is multiplied with.
 */
export function quantisedRows(values: Float32Array, cols: number): QuantisedRows {
  const rows = blockRows(values.length / cols, cols);
  const result = { ...rows, sums: new Float32Array(rows.scales.length) };
  for (let block = 0; block < result.scales.length; block++) {
    const start = block * BLOCK_COLS;
    const source = values.subarray(start, start + BLOCK_COLS);
    const largest = largestMagnitude(source);
    if (largest < LEAST_MAGNITUDE) continue;
    const inverse = Math.fround(127 / largest);
    result.scales[block] = largest / 127;
    let sum = 0;
    for (let i = 0; i < BLOCK_COLS; i++) {
      result.quants[start + i] = toNearest(Math.fround((source[i] as number) * inverse));
      sum += result.quants[start + i] as number;
    }
    result.sums[block] = sum * (result.scales[block] as number);
  }
  return result;
}

/** Beyond it float32 has no fractions; it is 1.5 * 2^23. */
const NO_FRACTIONS = 12582912;

/** Of a float32 below 2^22, ties to even. */
export function toNearest(value: number): number {
  return Math.fround(value + NO_FRACTIONS) - NO_FRACTIONS;
}

/**
 * start + x[row] · w, block of x after block: for each of its groups of `groupCols` columns y = y + isum * (scale of w *
 * scale of x); then, of formats with minima, y = y + minimum of w * sum of x.
 */
export function dotBlocks(
  start: number,
  x: QuantisedRows,
  row: number,
  w: BlockParts,
  groupCols: number,
): number {
  const { quants: xs, scales: xScales, sums, cols } = x;
  const { quants: ws, scales: wScales, minima } = w;
  const blocks = cols / BLOCK_COLS;
  let y = start;
  for (let block = 0; block < blocks; block++) {
    const xBlock = row * blocks + block;
    const xScale = xScales[xBlock] as number;
    for (let first = block * BLOCK_COLS; first < (block + 1) * BLOCK_COLS; first += groupCols) {
      const from = row * cols + first;
      let sum = 0;
      for (let i = 0; i < groupCols; i++) sum += (xs[from + i] as number) * (ws[first + i] as number);
      const scale = Math.fround((wScales[first / groupCols] as number) * xScale);
      y = Math.fround(y + Math.fround(sum * scale));
    }
    if (minima.length > 0) {
      y = Math.fround(y + Math.fround((minima[block] as number) * (sums[xBlock] as number)));
    }
  }
  return y;
}
