/**
 * Products of weights in blocks: activations meet them as 8-bit blocks too, so that a block's products are one exact
 * integer sum. Each step is rounded to float32 and none is fused with another, so that all backends that compute so agree
 * to the bit.
 */
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

/** Below this no inverse is taken: the block counts as zeros. */
export const LEAST_MAGNITUDE = 2 ** -100;

/**
 * Activations in rows of `cols` columns as blocks: scale = amax / 127, q = x * (127 / amax) to the nearest, ties to even. What is
 * not finite makes its block's scale so, and thereby all that the row is multiplied with.
 */
export function quantisedRows(values: Float32Array, cols: number): BlockRows {
  const result = blockRows(values.length / cols, cols);
  for (let block = 0; block < result.scales.length; block++) {
    const start = block * BLOCK_COLS;
    const source = values.subarray(start, start + BLOCK_COLS);
    const largest = largestMagnitude(source);
    if (largest < LEAST_MAGNITUDE) continue;
    const inverse = Math.fround(127 / largest);
    result.scales[block] = largest / 127;
    for (let i = 0; i < BLOCK_COLS; i++) {
      result.quants[start + i] = toNearest(Math.fround((source[i] as number) * inverse));
    }
  }
  return result;
}

/** Beyond it float32 has no fractions; it is 1.5 * 2^23. */
const NO_FRACTIONS = 12582912;

/** Of a float32 below 2^22, ties to even. */
export function toNearest(value: number): number {
  return Math.fround(value + NO_FRACTIONS) - NO_FRACTIONS;
}

/** start + x[row] · w[0], block after block: y = y + isum * (scale of w * scale of x). */
export function dotBlocks(start: number, x: BlockRows, row: number, w: BlockRows): number {
  const { quants: xs, scales: xScales } = x;
  const { quants: ws, scales: wScales, cols } = w;
  const blocks = cols / BLOCK_COLS;
  let y = start;
  for (let block = 0; block < blocks; block++) {
    const from = row * cols + block * BLOCK_COLS;
    let sum = 0;
    for (let i = 0; i < BLOCK_COLS; i++) {
      sum += (xs[from + i] as number) * (ws[block * BLOCK_COLS + i] as number);
    }
    const scale = Math.fround((wScales[block] as number) * (xScales[row * blocks + block] as number));
    y = Math.fround(y + Math.fround(sum * scale));
  }
  return y;
}
