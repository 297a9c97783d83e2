/** Weights must be numbers: one NaN makes every answer NaN, so it is reported where it lies. */
import { GlimtError } from "../errors.ts";
import type { WeightDType } from "../tensor/dtype.ts";
import type { StoredTensor } from "./safetensors.ts";

/** Exponent bits, all set in NaN and infinity. */
const EXPONENT: Readonly<Record<WeightDType, number>> = { f32: 0x7f800000, bf16: 0x7f80, f16: 0x7c00 };

/** `bytes` start at a multiple of the element size. @throws WEIGHTS_INVALID naming the tensor. */
export function requireFinite(bytes: Uint8Array, dtype: WeightDType, tensor: StoredTensor): void {
  const mask = EXPONENT[dtype];
  const patterns =
    dtype === "f32"
      ? new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)
      : new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2);
  for (let index = 0; index < patterns.length; index++) {
    if (((patterns[index] as number) & mask) === mask) throw notFinite(tensor);
  }
}

function notFinite({ name, file }: StoredTensor): GlimtError {
  return new GlimtError(
    "WEIGHTS_INVALID",
    `${name} in ${file} holds NaN or infinite values: the checkpoint is damaged, or it was saved in a type too narrow.`,
  );
}
