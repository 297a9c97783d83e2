/**
 * The reference backend: plain TypeScript, float64 accumulation, activations stored as the program says.
 * Slow and obvious: it is the judge of the other backends.
 */
import { isCollective } from "../../graph/ops.ts";
import type { DType } from "../../tensor/dtype.ts";
import type { Backend } from "../backend.ts";
import { refuseWasmOptions } from "../refuse-wasm-options.ts";
import { REFERENCE_REPORT, ReferenceEngine } from "./engine.ts";
import { KERNELS } from "./kernels.ts";

export function createReferenceBackend(
  activationDType: Exclude<DType, "i32">,
  { weightOnly = false }: { readonly weightOnly?: boolean | undefined } = {},
): Backend {
  const backend: Backend = {
    name: "reference",
    activationDType,
    prefillChunk: 512,
    timesInstructions: true,
    weightOnly,
    supports({ op, activation }) {
      if (activation === "i32") return { ok: false, reason: `reference: ${op} has no i32 activations.` };
      return isCollective(op) || op in KERNELS
        ? { ok: true }
        : { ok: false, reason: `reference: ${op} is run as its composition.` };
    },
    weightLayout: () => "plain",
    probe: async () => ({ ok: true, ...REFERENCE_REPORT }),
    async open(options) {
      refuseWasmOptions("reference", options);
      return new ReferenceEngine(backend);
    },
  };
  return backend;
}

export const referenceBackend = createReferenceBackend("f32");
