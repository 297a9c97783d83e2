/** Moves runs of elements between storage (f32, or the 16-bit patterns of bf16 and f16) and float32 rows. */
import {
  type DType,
  f16ToNumber,
  type HostArray,
  numberToBf16,
  numberToF16,
  type WeightDType,
} from "../../tensor/dtype.ts";

/** into[at + i] = source[from + i]: exact, since float32 holds every bf16 and f16. */
export function widen(
  dtype: DType,
  source: HostArray,
  from: number,
  count: number,
  into: Float32Array,
  at: number,
): void {
  switch (dtype) {
    case "f32":
    case "i32":
      into.set(source.subarray(from, from + count), at);
      return;
    case "bf16": {
      const patterns = new Uint32Array(into.buffer, into.byteOffset, into.length);
      for (let i = 0; i < count; i++) patterns[at + i] = (source[from + i] as number) << 16;
      return;
    }
    case "f16": {
      const values = f16Values();
      for (let i = 0; i < count; i++) into[at + i] = values[source[from + i] as number] as number;
    }
  }
}

/** into[at + i] = source[from + i], rounded to the nearest element of `dtype`, ties to even. */
export function narrow(
  dtype: DType,
  source: ArrayLike<number>,
  from: number,
  count: number,
  into: HostArray,
  at: number,
): void {
  const round = dtype === "bf16" ? numberToBf16 : dtype === "f16" ? numberToF16 : (value: number) => value;
  for (let i = 0; i < count; i++) into[at + i] = round(source[from + i] as number);
}

/** How many elements are NaN or infinite: those whose exponent bits are all set. */
export function countNotFinite(dtype: WeightDType, data: HostArray): number {
  const exponent = { f32: 0x7f800000, bf16: 0x7f80, f16: 0x7c00 }[dtype];
  const patterns = dtype === "f32" ? new Uint32Array(data.buffer, data.byteOffset, data.length) : data;
  let count = 0;
  for (const pattern of patterns) if ((pattern & exponent) === exponent) count++;
  return count;
}

let f16Table: Float32Array | undefined;

/** The value of each of the 65536 half patterns. */
function f16Values(): Float32Array {
  f16Table ??= Float32Array.from({ length: 0x10000 }, (_, pattern) => f16ToNumber(pattern));
  return f16Table;
}
