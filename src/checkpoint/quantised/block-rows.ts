/** Rows of integers with f16 scales as rows of a block format, without loss. */
import { BLOCK_COLS, bytesOfBlock, storeBlock } from "../../tensor/blocks.ts";
import type { BlockFormat } from "../../tensor/storage.ts";
import type { StoredTensor } from "../safetensors.ts";

export interface IntegerRows {
  readonly bits: number;
  readonly cols: number;
  /** Columns that share a scale. */
  readonly group: number;
  /** Zero points are in the middle. */
  readonly isSymmetric: boolean;
}

/**
 * The block format that holds such a weight: its scales are f16, groups are whole blocks, and integers less their zero
 * points fit. Null when there is none.
 */
export function blocksOf(
  scales: Pick<StoredTensor, "dtype">,
  { bits, cols, group, isSymmetric }: IntegerRows,
): BlockFormat | null {
  if (scales.dtype !== "F16" || cols % BLOCK_COLS !== 0 || group % BLOCK_COLS !== 0) return null;
  // The difference of two unsigned integers has a bit more.
  if (bits < 4 || (bits === 4 && isSymmetric)) return "q4";
  return bits === 4 || (bits === 8 && isSymmetric) ? "q8" : null;
}

const RANGES: Readonly<Record<BlockFormat, readonly [least: number, most: number]>> = {
  q4: [-8, 7],
  q8: [-128, 127],
};

/**
 * Stores a row. Returns the first column whose integer the format can not hold, or -1.
 *
 * @param scaleAt the f16 pattern of a column's scale
 */
export function storeBlockRow(
  format: BlockFormat,
  integers: Int16Array,
  scaleAt: (col: number) => number,
  into: Uint8Array,
): number {
  const [least, most] = RANGES[format];
  const quants = new Int8Array(BLOCK_COLS);
  const blockBytes = bytesOfBlock(format);
  for (let start = 0; start < integers.length; start += BLOCK_COLS) {
    for (let i = 0; i < BLOCK_COLS; i++) {
      const q = integers[start + i] as number;
      if (q < least || q > most) return start + i;
      quants[i] = q;
    }
    storeBlock(format, scaleAt(start), quants, into, (start / BLOCK_COLS) * blockBytes);
  }
  return -1;
}
