/** glimt for browsers, workers and edge runtimes: checkpoints by address or as picked files, the WebAssembly backend. */

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
import { repositoryId } from "./checkpoint/hub.ts";
import {
  isAddress,
  type ModelLocation,
  OPEN_FILES_OPTION_NAMES,
  type OpenFilesOptions,
  rejectOtherSchemes,
} from "./checkpoint/location.ts";
import { GlimtError } from "./errors.ts";
import { readOptions } from "./given.ts";
import { sharedWorkers } from "./media/media-workers.ts";
import type { Processor } from "./prompt/processor.ts";
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

const platform: Platform = {
  backends: [wasmBackend, referenceBackend],
  openFiles,
  mediaWorkers: sharedWorkers({
    threads,
    workerText: async () => (await import("./worker.ts?text")).default,
    version: GLIMT_VERSION,
  }),
};

/**
 * Loads a Hugging Face checkpoint from an address that answers Range requests, or from files by name.
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
 * The files of a checkpoint; an address may be relative to the page, or to the script of a worker.
 *
 * @throws OPTION_INVALID for what is no address, or relative to nothing
 */
export async function openFiles(location: ModelLocation, given?: OpenFilesOptions): Promise<CheckpointFiles> {
  return openModelFiles(location, readOptions(given, "openFiles", OPEN_FILES_OPTION_NAMES), openFolder);
}

async function openFolder(location: ModelLocation, options: OpenFilesOptions): Promise<CheckpointFiles> {
  if (!isAddress(location)) return blobFiles(location);
  const text = String(location);
  rejectOtherSchemes(text);
  if (/^[a-z][a-z\d+.-]+:/i.test(text)) return httpFiles(text, options);
  const repository = repositoryId(text);
  return httpFiles(absoluteAddress(text), {
    ...options,
    ...(repository && { repository }),
  });
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
