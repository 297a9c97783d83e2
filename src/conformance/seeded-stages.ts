/** A whole model of seeded weights on a backend, for which no checkpoint is needed. */
import type { Backend } from "../backends/backend.ts";
import type { CompileOptions } from "../compiler/compile.ts";
import type { ModelConfig } from "../config/types.ts";
import { chooseBackend } from "../runtime/choose-backend.ts";
import { compileStages, stageWeights } from "../runtime/compile-stages.ts";
import { type OpenOptions, openStages, type Stages } from "../runtime/open-stages.ts";
import type { WeightDType } from "../tensor/dtype.ts";
import { seededRows } from "./seeded-weights.ts";

/** All weights of one type but the vectors. Probes the backend. @throws BACKEND_UNAVAILABLE, OUT_OF_MEMORY */
export async function openSeededStages(
  backend: Backend,
  config: ModelConfig,
  weights: WeightDType,
  { compile, ...options }: OpenOptions & { readonly compile?: CompileOptions } = {},
): Promise<Stages> {
  await chooseBackend([backend], backend.name);
  const model = compileStages(backend, config, { weightDType: () => weights, compile });
  return openStages(backend, model, stageWeights(model).map(seededRows), options);
}
