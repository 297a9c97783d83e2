/**
 * glimt for browsers, workers and edge runtimes: checkpoints by address or as picked files, the WebAssembly backend. This file
 * is small: models of a page live in a worker, and what runs on the page's own thread is loaded when it is asked for.
 */

import type { CacheOptions, PulledModel, PullOptions } from "./api/hub-models.ts";
import type { LoadOptions } from "./api/load-options.ts";
import type { Model } from "./api/model.ts";
import type { ProcessorOptions } from "./api/open-processor.ts";
import type { Platform } from "./api/platform.ts";
import type { Checkpoint, OpenOptions } from "./checkpoint/checkpoint.ts";
import type { CheckpointFiles } from "./checkpoint/files.ts";
import type { CachedModel } from "./checkpoint/hub/cache.ts";
import type { ModelLocation, OpenFilesOptions } from "./checkpoint/location.ts";
import { baseAddress } from "./http/base-address.ts";
import type { Processor } from "./prompt/processor.ts";
import { ModelWorkers } from "./remote/model-workers.ts";
import { startFrom, startOwnFile, startText } from "./workers/web-threads.ts";

export * from "./public-api.ts";

const loadEngine = () => import("./edge-engine.ts");
const packageFile = async (name: string) => (await import("./package-files.ts")).packageFile(name);

let platform: Platform | undefined;

async function enginePlatform() {
  const [engine, files] = await Promise.all([loadEngine(), import("./edge-files.ts")]);
  platform ??= engine.edgePlatform(files.workerFile, files.mediaWorkers);
  return { ...engine, platform };
}

let workers: ModelWorkers | undefined;

function modelWorkers(): ModelWorkers {
  workers ??= new ModelWorkers({
    starts: (workerUrl) => [
      workerUrl === undefined ? startOwnFile : startFrom(workerUrl),
      startText(async () => (await packageFile("worker.js")) as string),
    ],
    version: GLIMT_VERSION,
    // In a worker the page has its thread already.
    byDefault: () => typeof document !== "undefined",
    loadHere: async (location, options, limits) => {
      const { loadModelOn, platform } = await enginePlatform();
      return loadModelOn(platform, location, options, limits);
    },
    base: baseAddress,
    file: packageFile,
  });
  return workers;
}

/**
 * Loads a Hugging Face checkpoint: a model of the Hub ("ORG/NAME", "ORG/NAME@REVISION" or its page), from an address that
 * answers Range requests, or from files by name. On a page it lives in a worker, see `LoadOptions.worker`.
 *
 * @throws GlimtError with a stable `code`; see the Node entry.
 */
export async function loadModel(location: ModelLocation, options: LoadOptions = {}): Promise<Model> {
  return modelWorkers().load(location, options);
}

/** The processor of a checkpoint alone; reads no weights. It is on the caller's thread, pictures are decoded in workers. */
export async function openProcessor(
  location: ModelLocation,
  options: ProcessorOptions = {},
): Promise<Processor> {
  const { openProcessorOn, platform } = await enginePlatform();
  return openProcessorOn(platform, location, options);
}

/**
 * The files of a checkpoint. An address may be relative to the page, or to the script of a worker; but ORG/NAME is a model of
 * the Hub, and such a folder of the page ./ORG/NAME.
 *
 * @throws OPTION_INVALID for what is no address, or relative to nothing
 */
export async function openFiles(
  location: ModelLocation,
  options?: OpenFilesOptions,
): Promise<CheckpointFiles> {
  return (await loadEngine()).openFiles(location, options);
}

/**
 * Reads what a checkpoint's files say, and the headers of its weights.
 *
 * @throws CHECKPOINT_NOT_FOUND, CHECKPOINT_INVALID, CONFIG_INVALID, MODEL_UNSUPPORTED, ABORTED
 */
export async function openCheckpoint(files: CheckpointFiles, options?: OpenOptions): Promise<Checkpoint> {
  return (await loadEngine()).openCheckpoint(files, options);
}

/**
 * Brings what loading a model of the Hub needs into the cache: descriptions, and the weights that the index names.
 *
 * @throws OPTION_INVALID, CHECKPOINT_NOT_FOUND, CHECKPOINT_INVALID, CACHE_FAILED, TIMED_OUT, ABORTED
 */
export async function pullModel(location: string | URL, options: PullOptions = {}): Promise<PulledModel> {
  return (await loadEngine()).pullModel(location, options);
}

/** The models of the Hub that are in the cache, and their sizes. */
export async function listModels(options: CacheOptions = {}): Promise<readonly CachedModel[]> {
  return (await loadEngine()).listModels(options);
}

/**
 * Removes a model from the cache ("ORG/NAME"), or what only one revision of it needs ("ORG/NAME@REVISION").
 *
 * @returns bytes that became free. @throws CHECKPOINT_NOT_FOUND when it is not there
 */
export async function removeModel(model: string | URL, options: CacheOptions = {}): Promise<number> {
  return (await loadEngine()).removeModel(model, options);
}
