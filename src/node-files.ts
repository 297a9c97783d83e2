/** Files and workers as Node has them: what the entries for Node and for GPU servers share. */

import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import {
  type CacheOptions,
  listModelsWith,
  type PulledModel,
  type PullOptions,
  pullModelWith,
  removeModelWith,
} from "./api/hub-models.ts";
import type { Platform } from "./api/platform.ts";
import { type QuantizedModel, type QuantizeOptions, quantizeModelOn } from "./api/quantize-model.ts";
import { createWasmBackend } from "./backends/wasm/backend.ts";
import { kernelWorkers } from "./backends/wasm/kernel-workers.ts";
import { blobFiles } from "./checkpoint/blobs.ts";
import { openDirectory } from "./checkpoint/directory.node.ts";
import type { CheckpointFiles } from "./checkpoint/files.ts";
import { openModelFiles } from "./checkpoint/gguf/location.ts";
import { httpFiles } from "./checkpoint/http.ts";
import type { CachedModel } from "./checkpoint/hub/cache.ts";
import { openHub } from "./checkpoint/hub/host.node.ts";
import { modelOfPage, parseHubId } from "./checkpoint/hub/location.ts";
import { openHubModel } from "./checkpoint/hub/open.ts";
import { ENVIRONMENT } from "./checkpoint/hub/settings.node.ts";
import {
  isAddress,
  type ModelLocation,
  OPEN_FILES_KINDS,
  OPEN_FILES_OPTION_NAMES,
  type OpenFilesOptions,
  rejectOtherSchemes,
} from "./checkpoint/location.ts";
import { openFolder as openOutput } from "./checkpoint/write/folder.node.ts";
import { GlimtError } from "./errors.ts";
import { readOptions } from "./given.ts";
import { inlineTasks as inlineGrammars } from "./grammar/inline-tasks.ts";
import { readFrameDirectory, readLocalFile } from "./media/files.node.ts";
import { inlineTasks as inlineMedia } from "./media/media-workers.ts";
import { requestPublic } from "./media/sources/public-request.node.ts";
import { loadWebCodecs } from "./media/webcodecs.node.ts";
import { packageFile } from "./package-files.ts";
import { sessionFiles } from "./serving/session/files.node.ts";
import * as threads from "./workers/node-threads.node.ts";
import { usableCores } from "./workers/processors.node.ts";
import { sharedWorkers, type WorkerFile } from "./workers/shared-workers.ts";

export const wasmBackend = createWasmBackend({
  startWorker: kernelWorkers({
    threads,
    workerText: async () => (await import("./kernel-worker.ts?text")).default,
    version: GLIMT_VERSION,
  }),
  usualThreads: () => usableCores(),
});

/** The package's worker, for tasks of every room. */
export const workerFile: WorkerFile = {
  threads,
  file: packageFile,
  version: GLIMT_VERSION,
};

export const nodeFiles: Omit<Platform, "backends"> = {
  openFiles,
  readFile: readLocalFile,
  readFrameDirectory,
  loadWebCodecs,
  mediaWorkers: sharedWorkers(workerFile, inlineMedia),
  grammarWorkers: sharedWorkers(workerFile, inlineGrammars),
  requestPublic,
  sessionFiles,
};

/**
 * The files of a checkpoint, wherever it lies. ORG/NAME is a directory if there is one of this name, else a model of the Hub.
 *
 * @throws CHECKPOINT_NOT_FOUND for a path that is no directory; OPTION_INVALID for what is no location
 */
export async function openFiles(location: ModelLocation, given?: OpenFilesOptions): Promise<CheckpointFiles> {
  const options = readOptions(given, "openFiles", OPEN_FILES_OPTION_NAMES, OPEN_FILES_KINDS);
  return openModelFiles(location, options, openFolder, openModel);
}

/** Null for what is no model of the Hub, or a path that is there. */
async function openModel(
  location: ModelLocation,
  options: OpenFilesOptions,
): Promise<CheckpointFiles | null> {
  const text = String(location);
  const isWeb = /^https?:/i.test(text);
  const endpoint = options.hub?.endpoint ?? ENVIRONMENT.HF_ENDPOINT;
  const model = isWeb && URL.canParse(text) ? modelOfPage(new URL(text), endpoint) : parseHubId(text);
  const isPath = () => existsSync(text) || (model !== null && existsSync(model.repository));
  if (model === null || (!isWeb && !/^hf:/i.test(text) && isPath())) return null;
  return openHubModel(openHub, model, options);
}

async function openFolder(location: ModelLocation, options: OpenFilesOptions): Promise<CheckpointFiles> {
  if (!isAddress(location)) return blobFiles(location);
  const text = String(location);
  if (/^https?:/i.test(text)) return httpFiles(location, options);
  rejectOtherSchemes(text);
  return openDirectory(/^file:/i.test(text) ? filePath(text) : text);
}

function filePath(address: string): string {
  try {
    return fileURLToPath(address);
  } catch (cause) {
    throw new GlimtError("OPTION_INVALID", `${address} names no local path: ${(cause as Error).message}.`);
  }
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

/**
 * Writes a quantised checkpoint into a new folder: safetensors in the layout of compressed-tensors, which loads without
 * `dtype` to the same bits as the source does with it. The folder appears when it is complete.
 *
 * @throws OPTION_INVALID, OUTPUT_FAILED, WEIGHTS_INVALID, ABORTED, and what loading throws about a checkpoint
 */
export function quantizeModel(
  location: ModelLocation,
  output: string,
  options: QuantizeOptions,
): Promise<QuantizedModel> {
  const platform = { openFiles, openOutput, version: GLIMT_VERSION };
  return quantizeModelOn(platform, location, output, options);
}
