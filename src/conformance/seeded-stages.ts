/** A whole model of seeded weights on a backend, for which no checkpoint is needed. */
import type { Backend } from "../backends/backend.ts";
import type { ModelConfig } from "../config/types.ts";
import { chooseBackend } from "../runtime/choose-backend.ts";
import { compileStages, type StageCompileOptions, stageWeights } from "../runtime/compile-stages.ts";
import { type OpenOptions, openStages, type Stages } from "../runtime/open-stages.ts";
import { holdsColumns, type WeightFormat } from "../tensor/storage.ts";
import { seededRows } from "./seeded-weights.ts";

/** All weights of one format but the vectors, and f32 where columns are no whole blocks. Probes the backend. @throws BACKEND_UNAVAILABLE, OUT_OF_MEMORY */
export async function openSeededStages(
  backend: Backend,
  config: ModelConfig,
  weights: WeightFormat,
  { compile, mtp, ...options }: OpenOptions & Pick<StageCompileOptions, "compile" | "mtp"> = {},
): Promise<Stages> {
  await chooseBackend([backend], backend.name);
  const model = compileStages(backend, config, {
    weightDType: (_, cols) => (holdsColumns(weights, cols) ? weights : "f32"),
    compile,
    mtp,
  });
  return openStages(backend, model, stageWeights(model).map(seededRows), options);
}
