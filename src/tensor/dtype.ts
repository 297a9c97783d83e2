/** Element types that tensors, programs and checkpoints share, and arrays of them. */
import { storageBytes } from "./storage.ts";

export const DTYPES = ["f32", "bf16", "f16", "i32"] as const;
/**
 * Types of activations and indices.
 *
 * @useDeclaredType
 */
export type DType = (typeof DTYPES)[number];

/** What a KV cache may be stored in beside the activation type. A row of q8 is whole blocks: `blocks.ts` has their bytes. */
export const CACHE_DTYPES = ["bf16", "q8"] as const;
/**
 * What a KV cache may be stored in beside the activation type.
 *
 * @useDeclaredType
 */
export type CacheDType = (typeof CACHE_DTYPES)[number];

/**
 * What tensors on a device are stored in. Only a state, which the KV cache is, is in q8.
 *
 * @useDeclaredType
 */
export type TensorDType = DType | CacheDType;

/** Types a weight may be stored in. Arithmetic accumulates in f32 or wider whatever the storage. */
export type WeightDType = "f32" | "bf16" | "f16";

export type HostArray = Float32Array | Int32Array | Uint16Array | Uint8Array;

/** Places of a host array that `elements` elements take: of q8 the bytes of so many, which are whole blocks. */
export function hostLength(dtype: TensorDType, elements: number): number {
  return dtype === "q8" ? storageBytes(dtype, 1, elements) : elements;
}

/** A zeroed host array that holds `length` elements; bf16 and f16 are kept as their 16-bit patterns, q8 as its bytes. */
export function hostArray(dtype: TensorDType, length: number): HostArray {
  switch (dtype) {
    case "f32":
      return new Float32Array(length);
    case "i32":
      return new Int32Array(length);
    case "bf16":
    case "f16":
      return new Uint16Array(length);
    case "q8":
      return new Uint8Array(hostLength(dtype, length));
  }
}
