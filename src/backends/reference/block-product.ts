/**
 * Products of weights in blocks: activations meet them as 8-bit blocks too, so that a block's products are one exact
 * integer sum. Each step is rounded to float32 and none is fused with another, so that all backends that compute so agree
 * to the bit.
 */
import { type BlockParts, groupCols } from "../../tensor/block-parts.ts";
import { BLOCK_COLS, largestMagnitude } from "../../tensor/blocks.ts";
import { type BlockFormat, blockCols } from "../../tensor/storage.ts";

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
 * start + x[row] · w, in order: for each 32 columns y = y + isum * (scale of w * scale of x), where isum is the sum of
 * products of integers, group by group times the code of its scale; then, of formats with minima, for each block of w
 * y = y + minimum of w * (sum of codes times sums of x).
 */
export function dotBlocks(
  start: number,
  x: QuantisedRows,
  row: number,
  w: BlockParts,
  format: BlockFormat,
): number {
  const { quants: xs, scales: xScales, sums, cols } = x;
  const { quants: ws, scales, scaleCodes, minima, minimumCodes } = w;
  const [length, group] = [blockCols(format), groupCols(format)];
  let y = start;
  for (let block = 0; block * length < cols; block++) {
    let taken = 0;
    for (let first = block * length; first < (block + 1) * length; first += BLOCK_COLS) {
      const xBlock = (row * cols + first) / BLOCK_COLS;
      let total = 0;
      for (let from = first; from < first + BLOCK_COLS; from += group) {
        let sum = 0;
        for (let i = from; i < from + group; i++) sum += (xs[row * cols + i] as number) * (ws[i] as number);
        // Below 2^24: float32 has it.
        total += sum * (scaleCodes[from / group] as number);
      }
      const scale = Math.fround((scales[block] as number) * (xScales[xBlock] as number));
      y = Math.fround(y + Math.fround(total * scale));
      if (minima.length === 0) continue;
      const code = minimumCodes[first / BLOCK_COLS] as number;
      taken = Math.fround(taken + Math.fround(code * (sums[xBlock] as number)));
    }
    if (minima.length > 0) y = Math.fround(y + Math.fround((minima[block] as number) * taken));
  }
  return y;
}
