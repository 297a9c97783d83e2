/** The module that pretends to be other hosts: what their products of bytes are exact for. */
import pretendingBytes from "../../build/wasm/kernels.pretending.test.wasm";
import { wasmBackend } from "../../src/backends/wasm/backend.ts";
import { WasmEngine } from "../../src/backends/wasm/engine.ts";
import { instantiateKernels, type Kernels } from "../../src/backends/wasm/kernels.ts";
import { VARIANTS, type Variant } from "../../src/backends/wasm/variants.ts";

const RELAXED = VARIANTS.find(({ name }) => name === "relaxed") as Variant;
/** As wasm/kernels/byte_dot.h numbers them. */
const BYTE_DOTS = ["none", "lowBits", "asUnsigned", "asSigned"];

/** Calls `use` for each kind of host; not at all where this one has no relaxed SIMD. */
export async function onEachHost(use: (engine: WasmEngine, byteDot: string) => Promise<void>): Promise<void> {
  if (!WebAssembly.validate(RELAXED.probe)) return;
  const variant = { ...RELAXED, name: "pretending", load: async () => pretendingBytes };
  const kernels = (await instantiateKernels(variant)) as Kernels & { glimt_pretend(dot: number): void };
  const engine = new WasmEngine(wasmBackend, kernels);
  for (const [number, byteDot] of BYTE_DOTS.entries()) {
    kernels.glimt_pretend(number);
    await use(engine, byteDot);
  }
  engine.dispose();
}
