/** The programs of a checkpoint's model, with its weights stored as asked or as the checkpoint has them. */
import type { CompileTarget } from "../backends/backend.ts";
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import { mtpLayerOf } from "../checkpoint/mtp-layer.ts";
import type { CompileOptions } from "../compiler/compile.ts";
import { type CompiledModel, compileStages, type GroupStages } from "../runtime/compile-stages.ts";
import type { CacheDType } from "../tensor/dtype.ts";
import { holdsWeights } from "./check-formats.ts";
import { chooseWeightFormat, type WeightStorage } from "./weight-dtype.ts";

/** What may be asked for of the KV cache, and of the decoder over it. */
export interface CacheStorage {
  /** Default: the backend's activation type. */
  readonly kvCacheDtype?: CacheDType | undefined;
  /** Whether the checkpoint's MTP layer is among its stages, if it has one; default: no. */
  readonly mtp?: boolean | undefined;
  /** Whether the decoder's programs tell what rows attend to; default: no. */
  readonly attention?: boolean | undefined;
  /** The device group that will run it; default: one device. */
  readonly group?: GroupStages | undefined;
}

/** For a backend that was probed. Reads no weights. @throws GRAPH_INVALID */
export function compileCheckpoint(
  backend: CompileTarget,
  checkpoint: Checkpoint,
  { kvCacheDtype, mtp, attention, group, ...storage }: WeightStorage & CacheStorage = {},
  compile?: CompileOptions,
): CompiledModel {
  return compileStages(backend, checkpoint.config, {
    weightDType: chooseWeightFormat(checkpoint, storage, (format) => holdsWeights(backend, format).ok),
    kvCacheDType: kvCacheDtype,
    mtp: mtp ? mtpLayerOf(checkpoint) : undefined,
    attention,
    compile,
    group,
  });
}
