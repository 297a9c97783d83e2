/** Formats of weights and of the KV cache that were asked for, held against what the backend can read. */
import type { Answer, Backend, CompileTarget } from "../backends/backend.ts";
import type { TextConfig } from "../config/types.ts";
import { GlimtError } from "../errors.ts";
import { BLOCK_COLS } from "../tensor/blocks.ts";
import { holdsColumns, type WeightFormat } from "../tensor/storage.ts";
import type { CacheStorage } from "./compile-checkpoint.ts";
import type { WeightStorage } from "./weight-dtype.ts";

/** For a backend that was probed. @throws OPTION_INVALID naming the option, and the backend or the model, and why not. */
export function checkFormats(
  backend: Backend,
  { headDim }: Pick<TextConfig, "headDim">,
  storage: WeightStorage & CacheStorage,
): void {
  const { activationDType: activation } = backend;
  const cache = storage.kvCacheDtype;
  if (cache && cache !== activation) {
    const answer = backend.supports({ op: "attention_paged", attrs: {}, activation, formats: { cache } });
    if (!answer.ok) throw refused("kvCacheDtype", cache, answer.reason);
    if (!holdsColumns(cache, headDim)) {
      throw new GlimtError(
        "OPTION_INVALID",
        `kvCacheDtype is "${cache}", which has whole blocks of ${BLOCK_COLS} columns, but the model's heads have ${headDim}. Choose another kvCacheDtype, or leave it out.`,
      );
    }
  }
  for (const name of ["dtype", "visionDtype"] as const) {
    const format = storage[name];
    if (!format) continue;
    const answer = holdsWeights(backend, format);
    if (!answer.ok) throw refused(name, format, answer.reason);
  }
}

/** Whether a backend, which was probed, computes with weights stored so. */
export function holdsWeights(backend: CompileTarget, format: WeightFormat): Answer {
  const { activationDType: activation } = backend;
  return backend.supports({ op: "linear", attrs: {}, activation, formats: { x: activation, w: format } });
}

function refused(option: string, format: string, reason: string): GlimtError {
  return new GlimtError(
    "OPTION_INVALID",
    `${option} is "${format}", but ${reason} Choose another ${option}, or another backend: see loadModel's option \`backend\`.`,
  );
}
