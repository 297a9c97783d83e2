/** Weights must be numbers: one NaN makes every answer NaN. Engines count what is not; this says in which tensor it lies. */
import type { WeightDType } from "../tensor/dtype.ts";

/** A tensor of a checkpoint that holds NaN or infinity. */
export interface NotFiniteTensor {
  readonly tensor: string;
  readonly file: string;
}

/** Exponent bits, all set in NaN and infinity. */
const EXPONENT: Readonly<Record<WeightDType, number>> = { f32: 0x7f800000, bf16: 0x7f80, f16: 0x7c00 };

/** Whether all elements are numbers. `bytes` start at a multiple of the element size. */
export function allFinite(bytes: Uint8Array, dtype: WeightDType): boolean {
  const mask = EXPONENT[dtype];
  const { buffer, byteOffset, length } = bytes;
  const patterns =
    dtype === "f32"
      ? new Uint32Array(buffer, byteOffset, length / Uint32Array.BYTES_PER_ELEMENT)
      : new Uint16Array(buffer, byteOffset, length / Uint16Array.BYTES_PER_ELEMENT);
  return patterns.every((pattern) => (pattern & mask) !== mask);
}
