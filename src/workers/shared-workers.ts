/** The workers that all which a process loads share, for each place of the worker's file. */
import type { TaskTable } from "./task.ts";
import type { Threads } from "./thread.ts";
import type { PackageFile } from "./worker-tasks.ts";
import { Workers } from "./workers.ts";

export interface WorkerFile {
  readonly threads: Threads;
  readonly file: PackageFile;
  readonly version: string;
}

/** @param inline the same tasks for this thread. @returns the workers of a copy of the file, or of the SDK's own */
export function sharedWorkers<T extends TaskTable>(
  { threads, file, version }: WorkerFile,
  inline: () => Promise<T>,
) {
  const workerText = async () => (await file("worker.js")) as string;
  const shared = new Map<string | undefined, Workers<T>>();
  return (workerUrl: string | URL | undefined): Workers<T> => {
    const place = workerUrl?.toString();
    const first = workerUrl === undefined ? threads.startOwnFile : threads.startFrom(workerUrl);
    const workers =
      shared.get(place) ??
      new Workers<T>({ starts: [first, threads.startText(workerText)], version, file, inline });
    shared.set(place, workers);
    return workers;
  };
}
