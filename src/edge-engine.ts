/** The engine as browsers and their workers run it: what `edge.ts` loads when a model or a checkpoint is asked for. */

import type { Platform } from "./api/platform.ts";
import { referenceBackend } from "./backends/reference/backend.ts";
import { createWasmBackend } from "./backends/wasm/backend.ts";
import { kernelWorkers } from "./backends/wasm/kernel-workers.ts";
import { openFiles } from "./edge-checkpoints.ts";
import { inlineTasks as inlineGrammars } from "./grammar/inline-tasks.ts";
import { inlineTasks as inlineMedia } from "./media/media-workers.ts";
import { sharedWorkers, type WorkerFile } from "./workers/shared-workers.ts";
import { usualThreads } from "./workers/web-workers.ts";

export { loadModelOn } from "./api/load-model.ts";
export { openProcessorOn } from "./api/open-processor.ts";
export { openCheckpoint } from "./checkpoint/checkpoint.ts";
export { listModels, openFiles, pullModel, removeModel } from "./edge-checkpoints.ts";

/**
 * @param workerFile the script of the workers that pictures, grammars and kernels run in
 * @param mediaWorkers those for pictures, where they are shared with others than models
 */
export function edgePlatform(
  workerFile: WorkerFile,
  mediaWorkers = sharedWorkers(workerFile, inlineMedia),
): Platform {
  const wasmBackend = createWasmBackend({
    startWorker: kernelWorkers({
      threads: workerFile.threads,
      workerText: async () => (await import("./kernel-worker.ts?text")).default,
      version: GLIMT_VERSION,
    }),
    usualThreads,
  });
  return {
    backends: [wasmBackend, referenceBackend],
    openFiles,
    mediaWorkers,
    grammarWorkers: sharedWorkers(workerFile, inlineGrammars),
  };
}
