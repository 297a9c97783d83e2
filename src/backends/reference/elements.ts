/** Elements of host memory as kernels read them: counted in row-major order, widened to float32. */
import { widen } from "../../tensor/convert.ts";
import { type DType, type HostArray, hostArray } from "../../tensor/dtype.ts";
import type { WeightFormat } from "../../tensor/storage.ts";
import type { DeviceWeight } from "../backend.ts";

/** into[at + i] = element first + i, i in 0..count. */
export type ReadElements = (first: number, count: number, into: Float32Array, at: number) => void;

/** Reads the elements of an array. */
export function elementsOf(dtype: DType, data: HostArray): ReadElements {
  return (first, count, into, at) => widen(dtype, data, first, count, into, at);
}

export interface StoredWeight extends DeviceWeight {
  readonly stored: ArrayBuffer;
}

type OpenWeight = (weight: StoredWeight) => ReadElements;

const plain =
  (dtype: DType): OpenWeight =>
  ({ stored }) =>
    elementsOf(dtype, typedArray(dtype, stored));

/** What reads a weight, by its format. */
export const OPEN_WEIGHT: Readonly<Record<WeightFormat, OpenWeight>> = {
  f32: plain("f32"),
  bf16: plain("bf16"),
  f16: plain("f16"),
};

/** The whole memory as an array of `dtype`. */
export function typedArray(dtype: DType, memory: ArrayBuffer): HostArray {
  const Type = hostArray(dtype, 0).constructor as new (buffer: ArrayBuffer) => HostArray;
  return new Type(memory);
}
