/** Options of the WebAssembly backend are errors on the others, where they would do nothing. */
import { GlimtError } from "../errors.ts";
import { shown } from "../given.ts";
import type { BackendName, EngineOptions } from "./backend.ts";

/** @throws OPTION_INVALID for threads other than 1, and for any variant or limit of memory. */
export function refuseWasmOptions(
  backend: BackendName,
  { threads, wasmVariant, maxMemory }: EngineOptions = {},
): void {
  if (threads !== undefined && threads !== 1) {
    throw new GlimtError(
      "OPTION_INVALID",
      `threads is ${shown(threads)}, and the ${backend} backend has none to choose; leave the option out.`,
    );
  }
  if (maxMemory !== undefined) {
    throw new GlimtError(
      "OPTION_INVALID",
      `maxMemory is ${shown(maxMemory)}, and the ${backend} backend has no limit to choose; leave the option out, or ask for the backend "wasm". What its KV cache takes is kvCache.`,
    );
  }
  if (wasmVariant !== undefined) {
    throw new GlimtError(
      "OPTION_INVALID",
      `wasmVariant is ${shown(wasmVariant)}, and the ${backend} backend is no WebAssembly; leave the option out, or ask for the backend "wasm".`,
    );
  }
}
