/** glimt for browsers, workers and edge runtimes: checkpoints by address or as picked files, the WebAssembly backend. */

import {
  type CacheOptions,
  listModelsWith,
  type PulledModel,
  type PullOptions,
  pullModelWith,
  removeModelWith,
} from "./api/hub-models.ts";
import { loadModelOn } from "./api/load-model.ts";
import type { LoadOptions } from "./api/load-options.ts";
import type { Model } from "./api/model.ts";
import { openProcessorOn, type ProcessorOptions } from "./api/open-processor.ts";
import type { Platform } from "./api/platform.ts";
import { referenceBackend } from "./backends/reference/backend.ts";
import { createWasmBackend } from "./backends/wasm/backend.ts";
import { kernelWorkers } from "./backends/wasm/kernel-workers.ts";
import { blobFiles } from "./checkpoint/blobs.ts";
import type { CheckpointFiles } from "./checkpoint/files.ts";
import { openModelFiles } from "./checkpoint/gguf/location.ts";
import { httpFiles } from "./checkpoint/http.ts";
import type { CachedModel } from "./checkpoint/hub/cache.ts";
import { openHub } from "./checkpoint/hub/host-web.ts";
import { modelOfPage, parseHubId } from "./checkpoint/hub/location.ts";
import { openHubModel } from "./checkpoint/hub/open.ts";
import {
  isAddress,
  type ModelLocation,
  OPEN_FILES_KINDS,
  OPEN_FILES_OPTION_NAMES,
  type OpenFilesOptions,
  rejectOtherSchemes,
} from "./checkpoint/location.ts";
import { GlimtError } from "./errors.ts";
import { readOptions } from "./given.ts";
import { inlineTasks as inlineGrammars } from "./grammar/inline-tasks.ts";
import { inlineTasks as inlineMedia } from "./media/media-workers.ts";
import type { Processor } from "./prompt/processor.ts";
import { sharedWorkers, type WorkerFile } from "./workers/shared-workers.ts";
import * as threads from "./workers/web-threads.ts";

export * from "./public-api.ts";

const wasmBackend = createWasmBackend({
  startWorker: kernelWorkers({
    threads,
    workerText: async () => (await import("./kernel-worker.ts?text")).default,
    version: GLIMT_VERSION,
  }),
  usualThreads: threads.usualThreads,
});

const workerFile: WorkerFile = {
  threads,
  workerText: async () => (await import("./worker.ts?text")).default,
  version: GLIMT_VERSION,
};

const platform: Platform = {
  backends: [wasmBackend, referenceBackend],
  openFiles,
  mediaWorkers: sharedWorkers(workerFile, inlineMedia),
  grammarWorkers: sharedWorkers(workerFile, inlineGrammars),
};

/**
 * Loads a Hugging Face checkpoint: a model of the Hub ("ORG/NAME", "ORG/NAME@REVISION" or its page), from an address that
 * answers Range requests, or from files by name.
 *
 * @throws GlimtError with a stable `code`; see the Node entry.
 */
export function loadModel(location: ModelLocation, options: LoadOptions = {}): Promise<Model> {
  return loadModelOn(platform, location, options);
}

/** The processor of a checkpoint alone; reads no weights. */
export function openProcessor(location: ModelLocation, options: ProcessorOptions = {}): Promise<Processor> {
  return openProcessorOn(platform, location, options);
}

/**
 * The files of a checkpoint. An address may be relative to the page, or to the script of a worker; but ORG/NAME is a model of
 * the Hub, and such a folder of the page ./ORG/NAME.
 *
 * @throws OPTION_INVALID for what is no address, or relative to nothing
 */
export async function openFiles(location: ModelLocation, given?: OpenFilesOptions): Promise<CheckpointFiles> {
  const options = readOptions(given, "openFiles", OPEN_FILES_OPTION_NAMES, OPEN_FILES_KINDS);
  return openModelFiles(location, options, openFolder, openModel);
}

/** Null for what is no model of the Hub. */
async function openModel(
  location: ModelLocation,
  options: OpenFilesOptions,
): Promise<CheckpointFiles | null> {
  const text = String(location);
  const isWeb = /^https?:/i.test(text) && URL.canParse(text);
  const model = isWeb ? modelOfPage(new URL(text), options.hub?.endpoint) : parseHubId(text);
  return model && openHubModel(openHub, model, options);
}

async function openFolder(location: ModelLocation, options: OpenFilesOptions): Promise<CheckpointFiles> {
  if (!isAddress(location)) return blobFiles(location);
  const text = String(location);
  rejectOtherSchemes(text);
  if (/^[a-z][a-z\d+.-]+:/i.test(text)) return httpFiles(text, options);
  return httpFiles(absoluteAddress(text), options);
}

/** A page knows its own address, a worker that of its script; one made of a Blob has none to go by. */
function absoluteAddress(address: string): URL {
  const { document, location } = globalThis as {
    readonly document?: { readonly baseURI?: string };
    readonly location?: { readonly href?: string };
  };
  const base = document?.baseURI ?? location?.href;
  if (base !== undefined && /^https?:/.test(base)) return new URL(address, base);
  throw new GlimtError(
    "OPTION_INVALID",
    `"${address}" is a relative address, and there is no page that it could be relative to: give the whole address, https://...`,
  );
}

/**
 * Brings what loading a model of the Hub needs into the cache: descriptions, and the weights that the index names.
 *
 * @throws OPTION_INVALID, CHECKPOINT_NOT_FOUND, CHECKPOINT_INVALID, CACHE_FAILED, TIMED_OUT, ABORTED
 */
export function pullModel(location: string | URL, options: PullOptions = {}): Promise<PulledModel> {
  return pullModelWith(openHub, location, options);
}

/** The models of the Hub that are in the cache, and their sizes. */
export function listModels(options: CacheOptions = {}): Promise<readonly CachedModel[]> {
  return listModelsWith(openHub, options);
}

/**
 * Removes a model from the cache ("ORG/NAME"), or what only one revision of it needs ("ORG/NAME@REVISION").
 *
 * @returns bytes that became free. @throws CHECKPOINT_NOT_FOUND when it is not there
 */
export function removeModel(model: string | URL, options: CacheOptions = {}): Promise<number> {
  return removeModelWith(openHub, model, options);
}
