/** glimt for Node: local directories and files, every backend. */

import { loadModelOn } from "./api/load-model.ts";
import type { LoadOptions } from "./api/load-options.ts";
import type { Model } from "./api/model.ts";
import { openProcessorOn, type ProcessorOptions } from "./api/open-processor.ts";
import type { BackendProbe } from "./backends/backend.ts";
import type { ModelLocation } from "./checkpoint/location.ts";
import { nodePlatform } from "./node-engine.ts";
import type { Processor } from "./prompt/processor.ts";
import { ModelWorkers } from "./remote/model-workers.ts";
import { startModelFile } from "./workers/node-threads.node.ts";

export { type JoinOptions, joinProcesses } from "./backends/group/processes.node.ts";
export { openCheckpoint } from "./checkpoint/checkpoint.ts";
export { listModels, openFiles, pullModel, quantizeModel, removeModel } from "./node-files.ts";
export * from "./public-api.ts";

const workers = new ModelWorkers({
  starts: () => [startModelFile],
  version: GLIMT_VERSION,
  byDefault: () => false,
  loadHere: (location, options, limits) => loadModelOn(nodePlatform, location, options, limits),
});

/**
 * Loads a Hugging Face checkpoint: a model of the Hub ("ORG/NAME", "ORG/NAME@REVISION" or its page), a local directory, an
 * http(s) address of one, or files by name. An existing directory goes before a model of the same name.
 *
 * @throws GlimtError with a stable `code`: CHECKPOINT_NOT_FOUND, CHECKPOINT_INVALID, CONFIG_INVALID,
 * MODEL_UNSUPPORTED, TOKENIZER_INVALID, TEMPLATE_INVALID, WEIGHTS_INVALID, ADAPTER_INVALID, BACKEND_UNAVAILABLE,
 * CACHE_FAILED, OPTION_INVALID, OUT_OF_MEMORY, TIMED_OUT, ABORTED.
 */
export function loadModel(location: ModelLocation, options: LoadOptions = {}): Promise<Model> {
  return workers.load(location, options);
}

/** The backends that could be here, best first; ask each one's `probe`. */
export const backends: readonly BackendProbe[] = nodePlatform.backends;

/** The processor of a checkpoint alone; reads no weights. */
export function openProcessor(location: ModelLocation, options: ProcessorOptions = {}): Promise<Processor> {
  return openProcessorOn(nodePlatform, location, options);
}
