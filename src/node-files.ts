/** Files and workers as Node has them: what the entries for Node and for GPU servers share. */

import { fileURLToPath } from "node:url";
import type { Platform } from "./api/platform.ts";
import { createWasmBackend } from "./backends/wasm/backend.ts";
import { kernelWorkers } from "./backends/wasm/kernel-workers.ts";
import { blobFiles } from "./checkpoint/blobs.ts";
import { openDirectory } from "./checkpoint/directory.node.ts";
import type { CheckpointFiles } from "./checkpoint/files.ts";
import { openModelFiles } from "./checkpoint/gguf/location.ts";
import { httpFiles } from "./checkpoint/http.ts";
import {
  isAddress,
  type ModelLocation,
  OPEN_FILES_OPTION_NAMES,
  type OpenFilesOptions,
  rejectOtherSchemes,
} from "./checkpoint/location.ts";
import { GlimtError } from "./errors.ts";
import { readOptions } from "./given.ts";
import { readFrameDirectory, readLocalFile } from "./media/files.node.ts";
import { sharedWorkers } from "./media/media-workers.ts";
import { requestPublic } from "./media/sources/public-request.node.ts";
import { loadWebCodecs } from "./media/webcodecs.node.ts";
import * as threads from "./workers/node-threads.node.ts";
import { usableCores } from "./workers/processors.node.ts";

export const wasmBackend = createWasmBackend({
  startWorker: kernelWorkers({
    threads,
    workerText: async () => (await import("./kernel-worker.ts?text")).default,
    version: GLIMT_VERSION,
  }),
  usualThreads: () => usableCores(),
});

export const nodeFiles: Omit<Platform, "backends"> = {
  openFiles,
  readFile: readLocalFile,
  readFrameDirectory,
  loadWebCodecs,
  mediaWorkers: sharedWorkers({
    threads,
    workerText: async () => (await import("./worker.ts?text")).default,
    version: GLIMT_VERSION,
  }),
  requestPublic,
};

/**
 * The files of a checkpoint, wherever it lies.
 *
 * @throws CHECKPOINT_NOT_FOUND for a path that is no directory; OPTION_INVALID for what is no location
 */
export async function openFiles(location: ModelLocation, given?: OpenFilesOptions): Promise<CheckpointFiles> {
  return openModelFiles(location, readOptions(given, "openFiles", OPEN_FILES_OPTION_NAMES), openFolder);
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
