/** How the weights of a checkpoint would be stored, without an engine: the data behind `glimt inspect --dtype`. */
import type { CompileTarget } from "../backends/backend.ts";
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import { type TensorStorage, tensorStorage } from "../checkpoint/tensor-storage.ts";
import type { WeightSpec } from "../graph/weight-spec.ts";
import { modelStages } from "../models/stages.ts";
import { DEFAULT_PAGE_SIZE } from "../runtime/compile-stages.ts";
import { bytesByFormat } from "../runtime/device-memory.ts";
import { isBlockFormat, isGroupedFormat, type WeightFormat } from "../tensor/storage.ts";
import { holdsWeights } from "./check-formats.ts";
import { chooseWeightFormat, type WeightStorage } from "./weight-dtype.ts";

export interface StoredWeights {
  /** Bytes by storage format, as plain matrices. */
  readonly bytes: Readonly<Partial<Record<WeightFormat, number>>>;
  /** What becomes of each tensor that is used. */
  readonly tensors: readonly TensorStorage[];
  /** Matrices that stay as they are where a format of blocks was asked for. */
  readonly precise: readonly {
    readonly name: string;
    readonly shape: readonly number[];
    readonly dtype: WeightFormat;
  }[];
}

/** Reads no weights. @param backend that was probed; default: one with kernels for every format */
export function describeStorage(
  checkpoint: Checkpoint,
  storage: WeightStorage,
  backend?: CompileTarget,
): StoredWeights {
  const stages = modelStages(checkpoint.config, {
    activationDType: "f32",
    weightDType: chooseWeightFormat(
      checkpoint,
      storage,
      (format) => !backend || holdsWeights(backend, format).ok,
    ),
    pageSize: DEFAULT_PAGE_SIZE,
  });
  const specs = new Map<string, WeightSpec>();
  const precise: StoredWeights["precise"][number][] = [];
  for (const { name: stage, graph } of stages) {
    const asked = stage === "vision" ? storage.visionDtype : storage.dtype;
    for (const { origin } of graph.values) {
      if (origin.kind !== "weight" || specs.has(origin.spec.name)) continue;
      const { spec } = origin;
      specs.set(spec.name, spec);
      const { name, shape, dtype } = spec;
      const isKept = asked && isBlockFormat(asked) && shape.length > 1 && !isGroupedFormat(dtype);
      if (isKept) precise.push({ name, shape, dtype });
    }
  }
  const all = [...specs.values()];
  return { bytes: bytesByFormat(all), tensors: tensorStorage(checkpoint.tensors, all), precise };
}
