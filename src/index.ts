/** glimt for Node: local directories and files, every backend. */
import type { Backend } from "./backends/backend.ts";
import { cudaBackend } from "./backends/cuda/backend.node.ts";
import { referenceBackend } from "./backends/reference/backend.ts";
import { wasmBackend } from "./backends/wasm/backend.ts";
import { nodeFiles } from "./node-files.ts";
import { type LoadOptions, loadModelOn } from "./runtime/load-model.ts";
import type { Model } from "./runtime/model.ts";
import { openProcessorOn, type ProcessorOptions } from "./runtime/open-processor.ts";
import type { ModelLocation, Platform } from "./runtime/platform.ts";
import type { Processor } from "./runtime/processor.ts";

export { openFiles } from "./node-files.ts";
export * from "./public-api.ts";

const platform: Platform = { ...nodeFiles, backends: [cudaBackend, wasmBackend, referenceBackend] };

/**
 * Loads a Hugging Face checkpoint: a local directory, an http(s) address of one, or files by name.
 *
 * @throws GlimtError with a stable `code`: CHECKPOINT_NOT_FOUND, CHECKPOINT_INVALID, CONFIG_INVALID,
 * MODEL_UNSUPPORTED, WEIGHTS_INVALID, BACKEND_UNAVAILABLE, OPTION_INVALID, OUT_OF_MEMORY, ABORTED.
 */
export function loadModel(location: ModelLocation, options: LoadOptions = {}): Promise<Model> {
  return loadModelOn(platform, location, options);
}

/** The backends that could be here, best first; ask each one's `probe`. */
export const backends: readonly Backend[] = platform.backends;

/** The processor of a checkpoint alone; reads no weights. */
export function openProcessor(location: ModelLocation, options: ProcessorOptions = {}): Promise<Processor> {
  return openProcessorOn(platform, location, options);
}
