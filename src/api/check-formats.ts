/** Formats of weights that were asked for, held against what the backend can read. */
import type { Backend } from "../backends/backend.ts";
import { GlimtError } from "../errors.ts";
import type { WeightStorage } from "./weight-dtype.ts";

/** For a backend that was probed. @throws OPTION_INVALID naming the option, the backend and why not. */
export function checkFormats(backend: Backend, storage: WeightStorage): void {
  const { activationDType: activation } = backend;
  for (const name of ["dtype", "visionDtype"] as const) {
    const format = storage[name];
    if (!format) continue;
    const answer = backend.supports({
      op: "linear",
      attrs: {},
      activation,
      formats: { x: activation, w: format },
    });
    if (answer.ok) continue;
    throw new GlimtError(
      "OPTION_INVALID",
      `${name} is "${format}", but ${answer.reason} Choose another ${name}, or another backend: see loadModel's option \`backend\`.`,
    );
  }
}
