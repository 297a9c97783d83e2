/** Values that are no numbers, told by their bits: the exponent of NaN and infinity is all ones. */
import type { WeightDType } from "./dtype.ts";

const EXPONENT: Readonly<Record<WeightDType, number>> = { f32: 0x7f800000, bf16: 0x7f80, f16: 0x7c00 };

/** How many of the elements are NaN or infinite. `bytes` start at a multiple of the element size. */
export function countNotFinite(
  dtype: WeightDType,
  { buffer, byteOffset, byteLength }: ArrayBufferView,
): number {
  const mask = EXPONENT[dtype];
  const patterns =
    dtype === "f32"
      ? new Uint32Array(buffer, byteOffset, byteLength / Uint32Array.BYTES_PER_ELEMENT)
      : new Uint16Array(buffer, byteOffset, byteLength / Uint16Array.BYTES_PER_ELEMENT);
  let count = 0;
  for (let i = 0; i < patterns.length; i++) {
    if (((patterns[i] as number) & mask) === mask) count++;
  }
  return count;
}
