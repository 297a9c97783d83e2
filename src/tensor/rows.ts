/** Bytes of rows of a plain weight, in any format. They begin at a multiple of the element's size. */
import { bytesOfBlock, countNotFiniteBlocks, widenBlocks } from "./block-parts.ts";
import { toFloat32 } from "./elements.ts";
import { countNotFinite } from "./finite.ts";
import { countNotFiniteFp8, FP8_BLOCK_BYTES, FP8_COLS, widenFp8 } from "./fp8.ts";
import { blockCols, type GroupedFormat, isBlockFormat, type WeightFormat } from "./storage.ts";

type PlainFormat = Exclude<WeightFormat, GroupedFormat>;

/** The elements of a format without blocks, where they lie: bf16 and f16 as their patterns. */
export function rowElements(
  format: PlainFormat,
  { buffer, byteOffset, length }: Uint8Array,
): Float32Array | Uint16Array {
  return format === "f32"
    ? new Float32Array(buffer, byteOffset, length / Float32Array.BYTES_PER_ELEMENT)
    : new Uint16Array(buffer, byteOffset, length / Uint16Array.BYTES_PER_ELEMENT);
}

/** The values of whole rows; of f32 where they lie. */
export function widenRows(format: WeightFormat, bytes: Uint8Array): Float32Array {
  if (format === "fp8") {
    const values = new Float32Array((bytes.length / FP8_BLOCK_BYTES) * FP8_COLS);
    widenFp8(bytes, 0, values.length, values, 0);
    return values;
  }
  if (!isBlockFormat(format)) return toFloat32(format, rowElements(format, bytes));
  const values = new Float32Array((bytes.length / bytesOfBlock(format)) * blockCols(format));
  widenBlocks(format, bytes, 0, values.length, values, 0);
  return values;
}

/** How many elements are NaN or infinite; of a block whose scale or minimum is, all. */
export function countNotFiniteRows(format: WeightFormat, bytes: Uint8Array): number {
  if (format === "fp8") return countNotFiniteFp8(bytes);
  return isBlockFormat(format) ? countNotFiniteBlocks(format, bytes) : countNotFinite(format, bytes);
}
