/** The programs of a checkpoint's model, with its weights stored as asked or as the checkpoint has them. */
import type { CompileTarget } from "../backends/backend.ts";
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import type { CompileOptions } from "../compiler/compile.ts";
import { type CompiledModel, compileStages } from "../runtime/compile-stages.ts";
import { chooseWeightFormat, type WeightStorage } from "./weight-dtype.ts";

/** For a backend that was probed. Reads no weights. @throws GRAPH_INVALID */
export function compileCheckpoint(
  backend: CompileTarget,
  checkpoint: Checkpoint,
  storage: WeightStorage = {},
  compile?: CompileOptions,
): CompiledModel {
  return compileStages(backend, checkpoint.config, {
    weightDType: chooseWeightFormat(checkpoint, storage),
    compile,
  });
}
