/** Element types that tensors, programs and checkpoints share. */

export const DTYPES = ["f32", "bf16", "f16", "i32"] as const;
export type DType = (typeof DTYPES)[number];

/** What a KV cache may be stored in beside the activation type, which keys and values are computed in. */
export const CACHE_DTYPES = ["bf16"] as const satisfies readonly DType[];
export type CacheDType = (typeof CACHE_DTYPES)[number];

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
