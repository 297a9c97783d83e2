/** Elements of host memory as kernels read them: counted in row-major order, widened to float32. */
import { type BlockParts, readBlocks, widenBlocks } from "../../tensor/block-parts.ts";
import { type HostArray, hostArray, type TensorDType } from "../../tensor/dtype.ts";
import { readElements } from "../../tensor/elements.ts";
import { widenFp8 } from "../../tensor/fp8.ts";
import { type BlockFormat, blockCols, type WeightFormat } from "../../tensor/storage.ts";
import type { DeviceWeight } from "../backend.ts";

/** into[at + i] = element first + i, i in 0..count. */
export type ReadElements = (first: number, count: number, into: Float32Array, at: number) => void;

export interface StoredWeight extends DeviceWeight {
  readonly stored: ArrayBuffer;
}

/** Parts of the blocks with elements first..first + count, which are whole ones. */
export type ReadParts = (first: number, count: number, parts: BlockParts) => void;

export interface WeightElements {
  readonly read: ReadElements;
  /** Absent in formats without blocks. */
  readonly blocks?: { readonly format: BlockFormat; readonly read: ReadParts };
}

type OpenWeight = (weight: StoredWeight) => WeightElements;

/** Of an array of a tensor's dtype. */
export function elementsOf(dtype: TensorDType, data: HostArray): WeightElements {
  if (dtype === "q8") return blockElements(dtype, data as Uint8Array);
  return { read: (first, count, into, at) => readElements(dtype, data, first, count, into, at) };
}

function blockElements(format: BlockFormat, bytes: Uint8Array): WeightElements {
  const cols = blockCols(format);
  return {
    read: (first, count, into, at) => widenBlocks(format, bytes, first, count, into, at),
    blocks: {
      format,
      read: (first, count, parts) => readBlocks(format, bytes, first / cols, count / cols, parts),
    },
  };
}

const plain =
  (dtype: TensorDType): OpenWeight =>
  ({ stored }) =>
    elementsOf(dtype, typedArray(dtype, stored));

const blocks =
  (format: BlockFormat): OpenWeight =>
  ({ stored }) =>
    blockElements(format, new Uint8Array(stored));

/** What reads a weight, by its format. */
export const OPEN_WEIGHT: Readonly<Record<WeightFormat, OpenWeight>> = {
  f32: plain("f32"),
  bf16: plain("bf16"),
  f16: plain("f16"),
  q8: blocks("q8"),
  q4: blocks("q4"),
  q4_1: blocks("q4_1"),
  q5_0: blocks("q5_0"),
  q5_1: blocks("q5_1"),
  q4_k: blocks("q4_k"),
  q5_k: blocks("q5_k"),
  q6_k: blocks("q6_k"),
  fp8: ({ stored }) => {
    const bytes = new Uint8Array(stored);
    return { read: (first, count, into, at) => widenFp8(bytes, first, count, into, at) };
  },
};

/** The whole memory as an array of `dtype`. */
export function typedArray(dtype: TensorDType, memory: ArrayBuffer): HostArray {
  const Type = hostArray(dtype, 0).constructor as new (buffer: ArrayBuffer) => HostArray;
  return new Type(memory);
}
