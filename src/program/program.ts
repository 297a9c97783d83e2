/**
 * The program: what the compiler emits and every backend runs. In memory it is this plain data; across a
 * border it is the flat bytes of encoding.ts, whose layout the generated C++ header repeats.
 */

import type { OpName } from "../graph/ops.ts";
import type { WeightSpec } from "../graph/weight-spec.ts";
import type { Dim } from "../tensor/dims.ts";
import type { DType, TensorDType } from "../tensor/dtype.ts";
import type { StorageFormat, WeightLayout } from "../tensor/storage.ts";

/** Raised whenever a reader of older bytes would go wrong. */
export const PROGRAM_VERSION = 3;

export const BUFFER_KINDS = ["weight", "state", "input", "output", "temporary"] as const;
export type BufferKind = (typeof BUFFER_KINDS)[number];

interface Buffer<Kind extends BufferKind, Format extends StorageFormat> {
  /** Unique for all kinds but temporary. */
  readonly name: string;
  readonly kind: Kind;
  /** "plain" for all kinds but weight. */
  readonly layout: WeightLayout;
  readonly dtype: Format;
  readonly rows: Dim;
  readonly cols: Dim;
  /** Temporaries with the same slot share memory; -1 for other kinds. */
  readonly slot: number;
}

export type WeightBuffer = Buffer<"weight", StorageFormat>;
/** Whose elements are reached one by one. */
export type ElementBuffer = Buffer<Exclude<BufferKind, "weight">, TensorDType>;
export type ProgramBuffer = WeightBuffer | ElementBuffer;

/** A rectangle of a buffer: `rows` rows of `cols` elements; element (r, c) is at colOffset + r * rowStride + c. */
export interface ProgramTensor {
  readonly buffer: number;
  readonly rows: Dim;
  readonly cols: Dim;
  readonly colOffset: number;
  /** In elements; 0 means the rows are contiguous (rowStride = cols). */
  readonly rowStride: number;
}

export interface Instruction {
  readonly op: OpName;
  /** Tensor indices in the op table's order. */
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
  /** In the op table's order; named choices as their index. */
  readonly attrs: readonly number[];
  readonly scope: string;
}

export interface Program {
  readonly name: string;
  /** Type of every activation. */
  readonly activation: DType;
  readonly symbols: readonly string[];
  readonly buffers: readonly ProgramBuffer[];
  readonly tensors: readonly ProgramTensor[];
  readonly instructions: readonly Instruction[];
  readonly slotCount: number;
  /** Where each weight buffer comes from, in buffer order. Not part of the bytes. */
  readonly weights: readonly WeightSpec[];
}
