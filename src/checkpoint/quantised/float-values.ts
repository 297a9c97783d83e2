/** Float32 values of the number types that scales and elements of quantised weights are stored in. */
import { toFloat32 } from "../../tensor/elements.ts";
import { E4M3 } from "../../tensor/fp8.ts";
import type { StoredDType } from "../safetensors.ts";

/** Types that `floatValues` reads. U8 is the exponent of a power of two, as `E8M0`. */
export const SCALE_DTYPES: readonly StoredDType[] = ["F32", "BF16", "F16"];

/** Powers of two; by its byte. */
export const E8M0: Float32Array = Float32Array.from({ length: 256 }, (_, code) =>
  code === 255 ? Number.NaN : 2 ** (code - 127),
);

/** 4-bit floats (E2M1); by their bits. */
export const E2M1: Float32Array = Float32Array.of(
  0,
  0.5,
  1,
  1.5,
  2,
  3,
  4,
  6,
  -0,
  -0.5,
  -1,
  -1.5,
  -2,
  -3,
  -4,
  -6,
);

/** Two's complement; by its byte. */
export const INT8: Float32Array = Float32Array.from({ length: 256 }, (_, code) => (code << 24) >> 24);

/** `bytes` begin at a multiple of 4 of their buffer. */
export function floatValues(dtype: StoredDType, bytes: Uint8Array): Float32Array {
  const { buffer, byteOffset, length } = bytes;
  switch (dtype) {
    case "F32":
      return new Float32Array(buffer, byteOffset, length / 4);
    case "BF16":
      return toFloat32("bf16", new Uint16Array(buffer, byteOffset, length / 2));
    case "F16":
      return toFloat32("f16", new Uint16Array(buffer, byteOffset, length / 2));
    case "F8_E4M3":
      return Float32Array.from(bytes, (code) => E4M3[code] as number);
    case "I8":
      return Float32Array.from(bytes, (code) => INT8[code] as number);
    case "U8":
    case "F8_E8M0":
      return Float32Array.from(bytes, (code) => E8M0[code] as number);
    default:
      throw new RangeError(`${dtype} is no type of scales`);
  }
}
