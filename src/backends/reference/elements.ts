/** Elements of host memory as kernels read them: counted in row-major order, widened to float32. */
import { BLOCK_COLS, readBlocks, widenBlocks } from "../../tensor/blocks.ts";
import { type HostArray, hostArray, type TensorDType } from "../../tensor/dtype.ts";
import { readElements } from "../../tensor/elements.ts";
import type { BlockFormat, WeightFormat } from "../../tensor/storage.ts";
import type { DeviceWeight } from "../backend.ts";

/** into[at + i] = element first + i, i in 0..count. */
export type ReadElements = (first: number, count: number, into: Float32Array, at: number) => void;

export interface StoredWeight extends DeviceWeight {
  readonly stored: ArrayBuffer;
}

/** Integers and scales of a block format: of the blocks with elements first..first + count, which are whole ones. */
export type ReadQuants = (first: number, count: number, quants: Int8Array, scales: Float32Array) => void;

export interface WeightElements {
  readonly read: ReadElements;
  /** Absent in formats without blocks. */
  readonly readQuants?: ReadQuants;
}

type OpenWeight = (weight: StoredWeight) => WeightElements;

/** Of an array of a tensor's dtype. */
export function elementsOf(dtype: TensorDType, data: HostArray): WeightElements {
  if (dtype === "q8") return blockElements(dtype, data as Uint8Array);
  return { read: (first, count, into, at) => readElements(dtype, data, first, count, into, at) };
}

function blockElements(format: BlockFormat, bytes: Uint8Array): WeightElements {
  return {
    read: (first, count, into, at) => widenBlocks(format, bytes, first, count, into, at),
    readQuants: (first, count, quants, scales) =>
      readBlocks(format, bytes, first / BLOCK_COLS, count / BLOCK_COLS, quants, scales),
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
};

/** The whole memory as an array of `dtype`. */
export function typedArray(dtype: TensorDType, memory: ArrayBuffer): HostArray {
  const Type = hostArray(dtype, 0).constructor as new (buffer: ArrayBuffer) => HostArray;
  return new Type(memory);
}
