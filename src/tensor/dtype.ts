/** Element types that tensors, programs and checkpoints share. */

export const DTYPES = ["f32", "bf16", "f16", "i32"] as const;
export type DType = (typeof DTYPES)[number];

/** Types a weight may be stored in. Arithmetic accumulates in f32 or wider whatever the storage. */
export type WeightDType = "f32" | "bf16" | "f16";

export type HostArray = Float32Array | Int32Array | Uint16Array;

/** A zeroed host array that holds `length` elements; bf16 and f16 are kept as their 16-bit patterns. */
export function hostArray(dtype: DType, length: number): HostArray {
  switch (dtype) {
    case "f32":
      return new Float32Array(length);
    case "i32":
      return new Int32Array(length);
    case "bf16":
    case "f16":
      return new Uint16Array(length);
  }
}

const bits = new DataView(new ArrayBuffer(4));

/** The value of a bf16 bit pattern: the upper half of a float32. */
export function bf16ToNumber(pattern: number): number {
  bits.setUint32(0, pattern << 16);
  return bits.getFloat32(0);
}

/** Nearest bf16 pattern, ties to even. */
export function numberToBf16(value: number): number {
  bits.setFloat32(0, value);
  const word = bits.getUint32(0);
  if (Number.isNaN(value)) return 0x7fc0;
  return ((word + 0x7fff + ((word >>> 16) & 1)) >>> 16) & 0xffff;
}

/** The value of an IEEE half pattern. */
export function f16ToNumber(pattern: number): number {
  const sign = pattern & 0x8000 ? -1 : 1;
  const exponent = (pattern >>> 10) & 0x1f;
  const fraction = pattern & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** Nearest IEEE half pattern of a float32 value, ties to even; overflow becomes infinity. */
export function numberToF16(value: number): number {
  bits.setFloat32(0, value);
  const word = bits.getUint32(0);
  const sign = (word >>> 16) & 0x8000;
  const magnitude = word & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  if (magnitude >= 0x38800000) {
    const rebased = magnitude - 0x38000000;
    return sign | ((rebased + 0xfff + ((rebased >>> 13) & 1)) >>> 13);
  }
  // Subnormal: the value in units of 2^-24, rounded to even.
  const scaled = Math.abs(value) * 2 ** 24;
  const floor = Math.floor(scaled);
  const rest = scaled - floor;
  const roundUp = rest > 0.5 || (rest === 0.5 && floor % 2 === 1);
  return sign | (floor + (roundUp ? 1 : 0));
}

/** Reads one element as a number, whatever its storage type. */
export function elementReader(dtype: DType, data: HostArray): (index: number) => number {
  switch (dtype) {
    case "f32":
    case "i32":
      return (index) => data[index] as number;
    case "bf16":
      return (index) => bf16ToNumber(data[index] as number);
    case "f16":
      return (index) => f16ToNumber(data[index] as number);
  }
}
