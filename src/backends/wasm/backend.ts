/** The WebAssembly backend: C++ kernels with SIMD128, one thread, f32 activations. Node, browsers and workers. */
import { GlimtError } from "../../errors.ts";
import type { Backend, Probe } from "../backend.ts";
import { COMPOSED_OPS } from "./composed-ops.ts";
import { WasmEngine } from "./engine.ts";
import { instantiateKernels, unsupportedReason } from "./kernels.ts";

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
  probe: async (): Promise<Probe> => {
    const reason = unsupportedReason();
    return reason ? { ok: false, reason } : { ok: true, description: "WebAssembly SIMD128, one thread" };
  },
  async open() {
    const reason = unsupportedReason();
    if (reason) throw new GlimtError("BACKEND_UNAVAILABLE", `The wasm backend can not run: ${reason}.`);
    return new WasmEngine(wasmBackend, await instantiateKernels());
  },
};
