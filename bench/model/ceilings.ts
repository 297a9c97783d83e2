/** What a machine can do at best, measured in the same run: the limits that speeds are given as shares of. */
import { execFileSync } from "node:child_process";
import type { BackendName } from "../../src/backends/backend.ts";
import { arithmeticCeiling, readCeiling } from "../kernels.ts";

export interface Ceilings {
  /** Reading device memory once, GB/s. */
  readonly readGBps: number;
  /** Matrix products, TFLOP/s. */
  readonly matrixTflops: number;
  /** How the latter was measured. */
  readonly how: string;
}

/**
 * Null where nothing is known to measure them with (the reference backend, the emulator).
 * @param program prints the ceilings of a GPU as JSON: bench/gpu/ceilings.cu, compiled
 */
export async function measureCeilings(
  backend: BackendName,
  program: string | undefined,
): Promise<Ceilings | null> {
  if (program !== undefined) return JSON.parse(execFileSync(program, { encoding: "utf8" })) as Ceilings;
  if (backend !== "wasm") return null;
  return {
    readGBps: await readCeiling(),
    matrixTflops: (await arithmeticCeiling()) / 1000,
    how: "multiply-adds in registers, one thread",
  };
}
