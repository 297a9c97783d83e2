/** The stages of a checkpoint on a backend, as loading a model opens them. */
import { compileCheckpoint } from "../../src/api/compile-checkpoint.ts";
import type { Backend } from "../../src/backends/backend.ts";
import type { Checkpoint } from "../../src/checkpoint/checkpoint.ts";
import { resolveWeights } from "../../src/checkpoint/resolve-weights.ts";
import type { CompileOptions } from "../../src/compiler/compile.ts";
import { chooseBackend } from "../../src/runtime/choose-backend.ts";
import { stageWeights } from "../../src/runtime/compile-stages.ts";
import { type OpenOptions, openStages, type Stages } from "../../src/runtime/open-stages.ts";

export async function openCheckpointStages(
  backend: Backend,
  checkpoint: Checkpoint,
  {
    compile,
    storage = {},
    ...options
  }: OpenOptions & {
    readonly compile?: CompileOptions;
    readonly storage?: Parameters<typeof compileCheckpoint>[2];
  } = {},
): Promise<Stages> {
  await chooseBackend([backend], backend.name);
  const model = compileCheckpoint(backend, checkpoint, storage, compile);
  return openStages(backend, model, resolveWeights(checkpoint, stageWeights(model)).weights, options);
}
