/** Elements of host arrays, in whatever a tensor may be stored in, from and to float32. */
import { widenBlocks } from "./block-parts.ts";
import { BLOCK_COLS, quantise } from "./blocks.ts";
import { narrow, widen } from "./convert.ts";
import { type HostArray, hostArray, hostLength, type TensorDType } from "./dtype.ts";

const BLOCK_BYTES = hostLength("q8", BLOCK_COLS);

/** into[at + i] = element first + i, i in 0..count. */
export function readElements(
  dtype: TensorDType,
  data: HostArray,
  first: number,
  count: number,
  into: Float32Array,
  at: number,
): void {
  if (dtype === "q8") widenBlocks(dtype, data as Uint8Array, first, count, into, at);
  else widen(dtype, data, first, count, into, at);
}

/** Element first + i = values[from + i], i in 0..count, rounded to `dtype`; of q8 whole blocks. */
export function writeElements(
  dtype: TensorDType,
  values: ArrayLike<number>,
  from: number,
  count: number,
  data: HostArray,
  first: number,
): void {
  if (dtype !== "q8") {
    narrow(dtype, values, from, count, data, first);
    return;
  }
  if (first % BLOCK_COLS || count % BLOCK_COLS) throw new RangeError("q8 is written in whole blocks");
  const exact = Float32Array.from({ length: count }, (_, i) => values[from + i] as number);
  const start = hostLength(dtype, first);
  quantise(dtype, exact, (data as Uint8Array).subarray(start, start + hostLength(dtype, count)));
}

/** Float32 values of an array stored as `dtype`; the same array when it already is f32. */
export function toFloat32(dtype: TensorDType, data: HostArray): Float32Array {
  if (data instanceof Float32Array) return data;
  const values = new Float32Array(dtype === "q8" ? (data.length / BLOCK_BYTES) * BLOCK_COLS : data.length);
  readElements(dtype, data, 0, values.length, values, 0);
  return values;
}

/** `values` rounded to `dtype`; the same array when that is f32. */
export function fromFloat32(dtype: TensorDType, values: Float32Array): HostArray {
  if (dtype === "f32") return values;
  const data = hostArray(dtype, values.length);
  writeElements(dtype, values, 0, values.length, data, 0);
  return data;
}
