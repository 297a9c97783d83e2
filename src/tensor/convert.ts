/** Whole arrays between float32 and storage types. */
import { bf16ToNumber, type DType, f16ToNumber, type HostArray, numberToBf16, numberToF16 } from "./dtype.ts";

/** Float32 values of an array stored as `dtype`; the same array when it already is f32. */
export function toFloat32(dtype: DType, data: HostArray): Float32Array {
  if (data instanceof Float32Array) return data;
  if (dtype === "i32") return Float32Array.from(data);
  const read = dtype === "bf16" ? bf16ToNumber : f16ToNumber;
  return Float32Array.from(data as Uint16Array, read);
}

/** `values` rounded to `dtype`; the same array when that is f32. */
export function fromFloat32(dtype: DType, values: Float32Array): HostArray {
  if (dtype === "f32") return values;
  if (dtype === "i32") return Int32Array.from(values);
  return Uint16Array.from(values, dtype === "bf16" ? numberToBf16 : numberToF16);
}
