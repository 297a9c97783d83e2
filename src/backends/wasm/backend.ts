/** The WebAssembly backend with all its variants, from which each host takes one: Node, browsers and workers. */

import type { Backend } from "../backend.ts";
import { makeWasmBackend, type WasmThreads } from "./make-backend.ts";
import { VARIANTS } from "./variants.ts";

/** @param environment Without one, programs run on the caller's thread alone. */
export function createWasmBackend(environment?: WasmThreads): Backend {
  return makeWasmBackend(VARIANTS, environment);
}

/** On one thread. */
export const wasmBackend: Backend = createWasmBackend();
