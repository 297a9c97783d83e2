/** What is in a checkpoint, as numbers: the data behind `glimt inspect`. Reads no weights. */

import type { Family } from "../config/types.ts";
import { GlimtError } from "../errors.ts";
import { readOnce, shown } from "../given.ts";
import type { TensorDType } from "../tensor/dtype.ts";
import { storageBytes } from "../tensor/storage.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { type Aside, asideReason } from "./names.ts";
import type { WeightFile } from "./shards.ts";

/** What is in a checkpoint, as numbers. */
export interface CheckpointDescription {
  /** Where it is: a path or an address, without passwords. */
  readonly location: string;
  /** The family that glimt runs it as. */
  readonly family: Family;
  /** The checkpoint's own spelling of its class. */
  readonly architecture: string;
  /** The Hugging Face processor that it names. */
  readonly processor: string;
  /** The files that hold the weights. */
  readonly files: readonly WeightFile[];
  /** By what the files call their types. */
  readonly dtypes: readonly TensorTotals<string>[];
  /** Parameters of the parts that the plain model runs, then of those it does without. */
  readonly parts: readonly TensorTotals<CheckpointPart>[];
  /** All tensors together. */
  readonly total: Totals;
  /** Bytes of the KV cache for one token, kept in `dtype`. */
  kvBytesPerToken(dtype: TensorDType): number;
}

/** Numbers of some tensors together. */
export interface Totals {
  /** How many. */
  readonly tensors: number;
  /** Their elements. */
  readonly parameters: number;
  /** In the files. */
  readonly bytes: number;
}

/** The same of one kind of them. */
export interface TensorTotals<K extends string> extends Totals {
  /** The kind. */
  readonly name: K;
}

/** A part of a model that parameters are counted by. */
export type CheckpointPart =
  | "vision"
  | "embedding"
  | "decoder"
  | "lm_head"
  | Exclude<Aside, "unknown">
  | "other";

/** @throws INPUT_INVALID for what is no checkpoint */
export function describeCheckpoint(checkpoint: Checkpoint): CheckpointDescription {
  const isOpen = readOnce("checkpoint", () => typeof checkpoint?.tensorDType === "function");
  if (!isOpen) {
    throw new GlimtError(
      "INPUT_INVALID",
      `checkpoint is ${shown(checkpoint)}, expected what openCheckpoint gives.`,
    );
  }
  const { config, files, processor, tensors, weightFiles } = checkpoint;
  const { numHiddenLayers, numKeyValueHeads, headDim } = config.text;
  const dtypes = new Tally<string>();
  const parts = new Tally<CheckpointPart>();
  const total = new Tally<"total">();
  for (const [name, { encoding, shape, bytes }] of tensors) {
    const parameters = shape.reduce((product, size) => product * size, 1);
    dtypes.add(encoding, parameters, bytes);
    const reason = asideReason(name, numHiddenLayers);
    parts.add(reason === "unknown" ? partOf(name) : reason, parameters, bytes);
    total.add("total", parameters, bytes);
  }
  return {
    location: files.location,
    family: config.family,
    architecture: config.architecture,
    processor: processor.kind,
    files: weightFiles,
    dtypes: dtypes.rows(),
    parts: parts.rows(),
    total: total.rows()[0] ?? { tensors: 0, parameters: 0, bytes: 0 },
    kvBytesPerToken: (dtype) => storageBytes(dtype, 2 * numHiddenLayers, numKeyValueHeads * headDim),
  };
}

function partOf(name: string): CheckpointPart {
  if (name.startsWith("model.visual.")) return "vision";
  if (name.startsWith("model.language_model.embed_tokens.")) return "embedding";
  if (name.startsWith("model.language_model.")) return "decoder";
  return name.startsWith("lm_head.") ? "lm_head" : "other";
}

class Tally<K extends string> {
  readonly #rows = new Map<K, { name: K; tensors: number; parameters: number; bytes: number }>();

  add(name: K, parameters: number, bytes: number): void {
    const row = this.#rows.get(name) ?? { name, tensors: 0, parameters: 0, bytes: 0 };
    row.tensors++;
    row.parameters += parameters;
    row.bytes += bytes;
    this.#rows.set(name, row);
  }

  /** Largest first. */
  rows(): TensorTotals<K>[] {
    return [...this.#rows.values()].sort((a, b) => b.bytes - a.bytes);
  }
}
