/** The WebAssembly backend: C++ kernels with SIMD, one thread, f32 activations. Node, browsers and workers. */
import { GlimtError } from "../../errors.ts";
import type { Backend, Probe } from "../backend.ts";
import { checkThreads } from "../check-threads.ts";
import { COMPOSED_OPS } from "./composed-ops.ts";
import { WasmEngine } from "./engine.ts";
import { instantiateKernels } from "./kernels.ts";
import { chooseVariant } from "./variants.ts";

export const wasmBackend: Backend = {
  name: "wasm",
  activationDType: "f32",
  prefillChunk: 512,
  supports({ op, activation }) {
    if (activation !== "f32")
      return { ok: false, reason: `wasm: ${op} has f32 activations only, not ${activation}.` };
    return COMPOSED_OPS.has(op)
      ? { ok: false, reason: `wasm: ${op} is run as its composition.` }
      : { ok: true };
  },
  weightLayout: (_format, uses) => (uses.has("matrix") ? "tiles8" : "plain"),
  probe: async (): Promise<Probe> => {
    const choice = chooseVariant();
    if ("reason" in choice) return { ok: false, reason: choice.reason };
    return { ok: true, description: `WebAssembly ${choice.variant.description}, one thread` };
  },
  async open(options) {
    checkThreads(options);
    const choice = chooseVariant();
    if ("reason" in choice) {
      throw new GlimtError("BACKEND_UNAVAILABLE", `The wasm backend can not run: ${choice.reason}.`);
    }
    return new WasmEngine(wasmBackend, await instantiateKernels(choice.variant));
  },
};
