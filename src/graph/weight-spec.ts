/** What a graph asks of a checkpoint: a weight is the concatenation, by rows, of one or more tensors. */
import type { WeightDType } from "../tensor/dtype.ts";

export interface WeightSource {
  /** Published tensor name, e.g. "model.language_model.layers.0.self_attn.q_proj.weight". */
  readonly tensor: string;
  /** The shape it must have in the checkpoint; it is used as [shape[0], product of the rest]. */
  readonly shape: readonly number[];
  /** "conv2x2" reorders each row of an [out, in, kh, kw] kernel to (kh, kw, in), so that it is a linear on merged rows. */
  readonly layout: "rows" | "conv2x2";
  /** What its values are multiplied by, in float32; absent for 1. */
  readonly scale?: number;
}

export interface WeightSpec {
  /** Unique within a model; the name a program binds it by. */
  readonly name: string;
  /** [rows, cols], or [n] for a vector. */
  readonly shape: readonly number[];
  /** How it is stored on the device. Vectors are always f32. */
  readonly dtype: WeightDType;
  readonly sources: readonly WeightSource[];
  /** Whose weight it is: absent for the model itself, or an adapter. Weights of different origins are never stacked. */
  readonly origin?: string;
}
