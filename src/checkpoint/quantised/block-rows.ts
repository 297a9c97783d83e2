/** Rows of integers with 16-bit scales, and perhaps minima, as rows of a block format. */
import { bytesOfBlock } from "../../tensor/block-parts.ts";
import { BLOCK_COLS, type IntegerFormat, storeBlock } from "../../tensor/blocks.ts";
import type { StoredDType, StoredTensor } from "../safetensors.ts";

export interface IntegerRows {
  readonly bits: number;
  readonly cols: number;
  /** Columns that share a scale. */
  readonly group: number;
  /** Zero points are in the middle. */
  readonly isSymmetric: boolean;
  /** Of what is added to the products, in place of zero points. */
  readonly minima?: Pick<StoredTensor, "dtype"> | undefined;
}

export interface BlockChoice {
  readonly format: IntegerFormat;
  /** Scales or minima are bf16, which f16 holds from 2^-14 to 65504, and rounds below to multiples of 2^-24. */
  readonly isRounded: boolean;
}

const SCALE_DTYPES: readonly StoredDType[] = ["F16", "BF16"];

/**
 * The block format that holds such a weight: its scales and minima are f16 or bf16, groups are whole blocks, and integers
 * less their zero points fit. Null when there is none.
 */
export function blocksOf(
  scales: Pick<StoredTensor, "dtype">,
  { bits, cols, group, isSymmetric, minima }: IntegerRows,
): BlockChoice | null {
  const dtypes = [scales.dtype, ...(minima ? [minima.dtype] : [])];
  if (!dtypes.every((dtype) => SCALE_DTYPES.includes(dtype))) return null;
  if (cols % BLOCK_COLS !== 0 || group % BLOCK_COLS !== 0) return null;
  const format = formatOf(bits, isSymmetric, minima !== undefined);
  return format && { format, isRounded: dtypes.includes("BF16") };
}

function formatOf(bits: number, isSymmetric: boolean, hasMinima: boolean): IntegerFormat | null {
  if (hasMinima) return bits <= 4 ? "q4_1" : null;
  // The difference of two unsigned integers has a bit more.
  if (bits < 4 || (bits === 4 && isSymmetric)) return "q4";
  if (bits === 4) return "q5_0";
  return bits === 8 && isSymmetric ? "q8" : null;
}

const RANGES: Readonly<Record<IntegerFormat, readonly [least: number, most: number]>> = {
  q4: [-8, 7],
  q8: [-128, 127],
  q4_1: [0, 15],
  q5_0: [-16, 15],
};

/**
 * Stores a row. Returns the first column whose integer the format can not hold, or -1.
 *
 * @param scaleAt the f16 pattern of a column's scale; `minimumAt` that of its minimum
 */
export function storeBlockRow(
  format: IntegerFormat,
  integers: Int16Array,
  scaleAt: (col: number) => number,
  into: Uint8Array,
  minimumAt: (col: number) => number = () => 0,
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
    const at = (start / BLOCK_COLS) * blockBytes;
    storeBlock(format, scaleAt(start), minimumAt(start), quants, into, at);
  }
  return -1;
}
