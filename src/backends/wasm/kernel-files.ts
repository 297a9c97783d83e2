/**
 * The kernels' modules, each a chunk of its own that is loaded when it is asked for. In a worker's one script, which
 * would be several times as large with them, `workers/asked-files.ts` takes this file's place (build.mjs).
 */
import { GlimtError } from "../../errors.ts";
import type { PackedWasm } from "../../media/packed-wasm.ts";

const FILES: Readonly<Record<string, () => Promise<PackedWasm>>> = {
  relaxed: () => import("../../../build/wasm/kernels.relaxed.wasm?packed"),
  simd: () => import("../../../build/wasm/kernels.simd.wasm?packed"),
  relaxed64: () => import("../../../build/wasm/kernels.relaxed64.wasm?packed"),
};

/** @param name of a kind of variants */
export async function kernelFile(name: string): Promise<PackedWasm> {
  const load = FILES[name];
  if (load) {
    const { text, size } = await load();
    return { text, size };
  }
  throw new GlimtError("BACKEND_UNAVAILABLE", `There is no module of the kernels called ${name}.`);
}
