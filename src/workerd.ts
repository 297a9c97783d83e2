/**
 * glimt for Cloudflare Workers, and whatever else workerd runs. It compiles no code at run time, so that the WebAssembly
 * modules are imported: they lie beside this file, and whoever bundles a Worker deploys them with it. There are no workers
 * to start and no threads, and an isolate has 128 MB.
 */

import png from "@jsquash/png/codec/pkg/squoosh_png_bg.wasm?module";
import webp from "@jsquash/webp/codec/dec/webp_dec.wasm?module";
import kernels from "../build/wasm/kernels.relaxed-single.wasm?module";
import pixels from "../build/wasm/pixels.wasm?module";
import { loadModelOn } from "./api/load-model.ts";
import type { LoadOptions } from "./api/load-options.ts";
import type { Model } from "./api/model.ts";
import { openProcessorOn, type ProcessorOptions } from "./api/open-processor.ts";
import type { Platform } from "./api/platform.ts";
import type { Engine, EngineOptions } from "./backends/backend.ts";
import { referenceBackend } from "./backends/reference/backend.ts";
import { makeWasmBackend } from "./backends/wasm/make-backend.ts";
import { VARIANT_FACTS } from "./backends/wasm/variant-choice.ts";
import type { ModelLocation } from "./checkpoint/location.ts";
import { openFiles } from "./edge-checkpoints.ts";
import { GlimtError } from "./errors.ts";
import type { Processor } from "./prompt/processor.ts";
import { provideWasm } from "./wasm-code.ts";

export { openCheckpoint } from "./checkpoint/checkpoint.ts";
export { openFiles } from "./edge-checkpoints.ts";
export * from "./public-api.ts";

provideWasm({ pixels, png, webp });

/** Bytes of an isolate's 128 MB that a model may take when nobody says anything; JavaScript has the others. */
const USUAL_MEMORY = 96 * 2 ** 20;

const relaxed = VARIANT_FACTS.filter(({ name }) => name === "relaxed");
const wasm = makeWasmBackend(relaxed.map((facts) => ({ ...facts, load: async () => kernels })));

/** @throws OUT_OF_MEMORY before weights are read that do not fit */
async function openWithin({ maxMemory, ...options }: EngineOptions = {}): Promise<Engine> {
  if (maxMemory !== undefined) return wasm.open({ ...options, maxMemory });
  return wasm.open({ ...options, maxMemory: USUAL_MEMORY }).catch((error) => {
    if (!(error instanceof GlimtError) || error.code !== "OUT_OF_MEMORY") throw error;
    throw new GlimtError(
      "OUT_OF_MEMORY",
      `${error.message} Cloudflare gives a Worker 128 MB, of which a model gets 96 MiB unless maxMemory says otherwise. What ` +
        "is too large for that runs on a server; openProcessor makes its inputs and counts tokens here.",
      { cause: error },
    );
  });
}

const platform: Platform = {
  backends: [{ ...wasm, open: openWithin }, referenceBackend],
  openFiles,
};

/**
 * Loads a Hugging Face checkpoint, from an address that answers Range requests or from files by name, on the thread that
 * asks. What takes more than 96 MiB is refused before its weights are read, unless `maxMemory` says otherwise.
 *
 * @throws GlimtError with a stable `code`; see the Node entry.
 */
export async function loadModel(location: ModelLocation, options: LoadOptions = {}): Promise<Model> {
  const limits = options?.worker ? ["On the thread that loaded it, since workerd has no workers"] : [];
  return loadModelOn(platform, location, options, limits);
}

/** The processor of a checkpoint alone; reads no weights. */
export async function openProcessor(
  location: ModelLocation,
  options: ProcessorOptions = {},
): Promise<Processor> {
  return openProcessorOn(platform, location, options);
}
