/** Workers as browsers have them: what the entries for browsers and edge runtimes share. */

import { inlineTasks as inlineMedia } from "./media/media-workers.ts";
import { packageFile } from "./package-files.ts";
import { sharedWorkers, type WorkerFile } from "./workers/shared-workers.ts";
import * as threads from "./workers/web-threads.ts";

export const workerFile: WorkerFile = {
  threads,
  file: packageFile,
  version: GLIMT_VERSION,
};

/** In which pictures and videos are parsed. */
export const mediaWorkers = sharedWorkers(workerFile, inlineMedia);
