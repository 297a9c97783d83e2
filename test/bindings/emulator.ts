/** The CUDA backend on the CPU emulator of the CUDA model, as test/run.mjs has it built. */
import { createRequire } from "node:module";
import { join } from "node:path";
import type { CudaAddon } from "../../src/backends/cuda/addon.ts";

/** GLIMT_TEST_ADDON names another build of it, for example one with a sanitizer. */
export const EMULATOR_PATH =
  process.env.GLIMT_TEST_ADDON ?? join(process.cwd(), "build/bindings/emulator/glimt.node");

export function loadEmulator(): CudaAddon {
  return createRequire(import.meta.url)(EMULATOR_PATH) as CudaAddon;
}

/** Kinds of faults that the emulator plants (crates-free-native/include/glimt_engine.h). */
export const FAULT = { allocation: 0, pinned: 1, launch: 2, deviceLost: 3, hang: 4 } as const;
