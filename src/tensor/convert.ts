/**
 * Between float32 and storage types: the 16-bit patterns of bf16 (the upper half of a float32) and f16 (IEEE half).
 * Widening is exact; narrowing goes to the nearest element, ties to the even one, beyond the largest to infinity.
 */
import type { DType, HostArray } from "./dtype.ts";

/** into[at + i] = source[from + i], i in 0..count: exact, but for integers beyond 2^24. Every NaN of f16 is one NaN. */
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
      const words = new Int32Array(into.buffer, into.byteOffset, into.length);
      for (let i = 0; i < count; i++) words[at + i] = (source[from + i] as number) << 16;
      return;
    }
    case "f16": {
      const values = f16Values();
      for (let i = 0; i < count; i++) into[at + i] = values[source[from + i] as number] as number;
    }
  }
}

/** into[at + i] = source[from + i], i in 0..count, rounded to float32 and then to `dtype`. */
export function narrow(
  dtype: DType,
  source: ArrayLike<number>,
  from: number,
  count: number,
  into: HostArray,
  at: number,
): void {
  if (dtype === "bf16" || dtype === "f16") {
    const values = float32Run(source, from, count);
    const words = new Int32Array(values.buffer, values.byteOffset, count);
    const patterns = into.subarray(at, at + count) as Uint16Array;
    if (dtype === "bf16") narrowBf16(words, patterns);
    else narrowF16(values, words, patterns);
    return;
  }
  for (let i = 0; i < count; i++) into[at + i] = source[from + i] as number;
}

function float32Run(source: ArrayLike<number>, from: number, count: number): Float32Array {
  if (source instanceof Float32Array) return source.subarray(from, from + count);
  const values = new Float32Array(count);
  for (let i = 0; i < count; i++) values[i] = source[from + i] as number;
  return values;
}

const MAGNITUDE = 0x7fffffff;
const INFINITY = 0x7f800000;

function narrowBf16(words: Int32Array, patterns: Uint16Array): void {
  for (let i = 0; i < words.length; i++) {
    const word = words[i] as number;
    patterns[i] = (word & MAGNITUDE) > INFINITY ? 0x7fc0 : (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
  }
}

function narrowF16(values: Float32Array, words: Int32Array, patterns: Uint16Array): void {
  for (let i = 0; i < words.length; i++) {
    const word = words[i] as number;
    const sign = (word >>> 16) & 0x8000;
    const magnitude = word & MAGNITUDE;
    if (magnitude > INFINITY) patterns[i] = sign | 0x7e00;
    else if (magnitude >= 0x477ff000) patterns[i] = sign | 0x7c00;
    else if (magnitude >= 0x38800000) {
      const rebased = magnitude - 0x38000000;
      patterns[i] = sign | ((rebased + 0xfff + ((rebased >>> 13) & 1)) >>> 13);
    } else {
      // Subnormal: the value in units of 2^-24.
      const scaled = Math.abs(values[i] as number) * 2 ** 24;
      const floor = Math.floor(scaled);
      const rest = scaled - floor;
      patterns[i] = sign | (floor + (rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? 1 : 0));
    }
  }
}

/** Of a half's pattern. */
export function f16Value(pattern: number): number {
  return f16Values()[pattern] as number;
}

let f16Table: Float32Array | undefined;

/** The value of each of the 65536 half patterns. */
function f16Values(): Float32Array {
  f16Table ??= Float32Array.from({ length: 0x10000 }, (_, pattern) => {
    const sign = pattern & 0x8000 ? -1 : 1;
    const exponent = (pattern >>> 10) & 0x1f;
    const fraction = pattern & 0x3ff;
    if (exponent === 0) return sign * fraction * 2 ** -24;
    if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
    return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  });
  return f16Table;
}
