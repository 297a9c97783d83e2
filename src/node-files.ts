/** Files and workers as Node has them: what the entries for Node and for GPU servers share. */
import { fileURLToPath } from "node:url";
import type { Platform } from "./api/platform.ts";
import { blobFiles } from "./checkpoint/blobs.ts";
import { openDirectory } from "./checkpoint/directory.node.ts";
import type { CheckpointFiles } from "./checkpoint/files.ts";
import { type HttpOptions, httpFiles } from "./checkpoint/http.ts";
import type { ModelLocation } from "./checkpoint/location.ts";
import { readFrameDirectory, readLocalFile } from "./media/files.node.ts";
import { sharedWorkers } from "./media/media-workers.ts";
import { requestPublic } from "./media/sources/public-request.node.ts";
import { loadWebCodecs } from "./media/webcodecs.node.ts";
import * as threads from "./workers/node-threads.node.ts";

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
