/** glimt for Node: local directories and files, every backend. */
import { fileURLToPath } from "node:url";
import type { Backend } from "./backends/backend.ts";
import { cudaBackend } from "./backends/cuda/backend.node.ts";
import { referenceBackend } from "./backends/reference/backend.ts";
import { wasmBackend } from "./backends/wasm/backend.ts";
import { blobFiles } from "./checkpoint/blobs.ts";
import { openCheckpoint } from "./checkpoint/checkpoint.ts";
import { openDirectory } from "./checkpoint/directory.node.ts";
import type { CheckpointFiles } from "./checkpoint/files.ts";
import { type HttpOptions, httpFiles } from "./checkpoint/http.ts";
import { readFrameDirectory, readLocalFile } from "./media/files.node.ts";
import { loadWebCodecs } from "./media/webcodecs.node.ts";
import { type LoadOptions, loadModelOn } from "./runtime/load-model.ts";
import type { MediaOptions } from "./runtime/media-options.ts";
import type { Model } from "./runtime/model.ts";
import type { ModelLocation, Platform } from "./runtime/platform.ts";
import { Processor } from "./runtime/processor.ts";

export * from "./public-api.ts";

const platform: Platform = {
  backends: [cudaBackend, wasmBackend, referenceBackend],
  openFiles,
  readFile: readLocalFile,
  readFrameDirectory,
  loadWebCodecs,
};

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
export async function openProcessor(
  location: ModelLocation,
  { headers, ...options }: MediaOptions & Pick<LoadOptions, "headers"> = {},
): Promise<Processor> {
  return Processor.open(await openCheckpoint(await openFiles(location, { headers })), platform, options);
}

/** The files of a checkpoint, wherever it lies. @throws CHECKPOINT_NOT_FOUND for a path that is no directory. */
export async function openFiles(
  location: ModelLocation,
  options: Pick<HttpOptions, "headers"> = {},
): Promise<CheckpointFiles> {
  if (typeof location !== "string" && !(location instanceof URL)) return blobFiles(location);
  if (/^https?:/i.test(String(location))) return httpFiles(location, options);
  const isUrl = location instanceof URL || location.startsWith("file:");
  return openDirectory(isUrl ? fileURLToPath(location) : location);
}
