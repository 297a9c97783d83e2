/** Engines on the module of tests, which runs parts in orders that nobody would choose (wasm/kernels/tests). */
import adverseBytes from "../../build/wasm/kernels.adverse.test.wasm";
import type { Engine } from "../../src/backends/backend.ts";
import { wasmBackend } from "../../src/backends/wasm/backend.ts";
import { WasmEngine } from "../../src/backends/wasm/engine.ts";
import { instantiateKernels, type Kernels } from "../../src/backends/wasm/kernels.ts";
import { VARIANTS, type Variant } from "../../src/backends/wasm/variants.ts";

/** The variant that the module of tests is built as. */
const USUAL = VARIANTS.find(({ name }) => name === "simd") as Variant;
const ADVERSE: Variant = { ...USUAL, name: "adverse", load: async () => adverseBytes };

/** Runs parts as they are meant to run, with the bits that the others must have. */
export async function usualEngine(): Promise<Engine> {
  return new WasmEngine(wasmBackend, await instantiateKernels(USUAL));
}

/** Runs parts in an unusual order, cut for `workers`. */
export async function adverseEngine(order: "reversed" | "shuffled", workers: number): Promise<Engine> {
  const kernels = (await instantiateKernels(ADVERSE)) as Kernels & {
    glimt_shuffle_parts(yes: number): void;
  };
  kernels.glimt_shuffle_parts(order === "shuffled" ? 1 : 0);
  return new WasmEngine(wasmBackend, { ...kernels, threads: workers });
}
