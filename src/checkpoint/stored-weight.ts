/** A tensor as a checkpoint has it, by its published name and shape, however it is coded in the files. */
import type { WeightFormat } from "../tensor/storage.ts";

/** What is known of it before it is read. */
export interface TensorFacts {
  /** As spelled in its file, for messages. */
  readonly name: string;
  /** Hugging Face's. */
  readonly shape: readonly number[];
  /** What its file calls it: "BF16", "Q4_K", "fp8 in blocks of 128 x 128". */
  readonly encoding: string;
  /** In its files, with its scales. */
  readonly bytes: number;
  /** Where it begins. */
  readonly file: string;
  /** Bytes into that file. */
  readonly offset: number;
}

/** One that can be a weight: a matrix [shape[0], product of the rest], read by rows. */
export interface StoredWeight extends TensorFacts {
  /** Undefined: it can be a weight. */
  readonly refusal?: undefined;
  /** Of the rows that it gives, in plain layout: its own where `FORMATS` has it, otherwise f32. */
  readonly format: WeightFormat;
  /** Whether f32 rows are made of fewer bits. Where nobody asks for a format, such a weight is stored as bf16. */
  readonly isDecoded: boolean;
  /** Where `format` may round what the file holds: the same decoded to f32, which does not. */
  readonly exact?: StoredWeight | undefined;
  /**
   * Fills `into` with rows [first, first + count) in `format`, little-endian. `into` has just their bytes, begins at a
   * multiple of an element's size, and may be a device's memory. Asked for some MiB at a time; holds no more beside
   * them than what these rows take in the files. @throws CHECKPOINT_INVALID, ABORTED
   */
  readRows(first: number, count: number, into: Uint8Array, signal?: AbortSignal): Promise<void>;
}

/** One that can not: it may lie in a checkpoint unused. */
export interface UnreadableTensor extends TensorFacts {
  /** Why, as what follows its name: "has dtype I64; glimt reads BF16, F16, F32 and F64". */
  readonly refusal: string;
}

/** A tensor of a checkpoint: one that can be a weight, or one that lies there unused. */
export type CheckpointTensor = StoredWeight | UnreadableTensor;

/** What a weight is stored as when nobody asks: as it is, or rounded to bf16 where its own bits have no format here. */
export function ownFormat({ format, isDecoded }: StoredWeight): WeightFormat {
  return isDecoded ? "bf16" : format;
}
