/** Where the workers of kernel threads start from. */

import type { Threads } from "../../workers/thread.ts";
import { startFirstWorker } from "../../workers/worker-tasks.ts";
import type { StartKernelWorker } from "./crew.ts";
import type { KernelTasks } from "./kernel-tasks.ts";

export interface KernelPlatform {
  readonly threads: Threads;
  /** The text of the kernels' own file. */
  readonly workerText: () => Promise<string>;
  readonly version: string;
}

/**
 * From the kernels' own file beside the SDK's, from its text, or from the file that has the tasks of all workers: a build
 * may have put that one alone there, on a page that lets no worker start from text. Who says where a copy of it lies has
 * it from there.
 */
export function kernelWorkers({ threads, workerText, version }: KernelPlatform) {
  const text = threads.startText(workerText);
  const beside = [threads.startKernelFile, text, threads.startOwnFile];
  return (workerUrl?: string | URL): ReturnType<StartKernelWorker> => {
    const starts = workerUrl === undefined ? beside : [threads.startFrom(workerUrl), text];
    return startFirstWorker<KernelTasks>(starts, version);
  };
}
