/** Workers of Node. */

import { resolve } from "node:path";
import { type TransferListItem, Worker } from "node:worker_threads";
import { HeapOutgrown, type StartThread, type ThreadEvents, type WorkerThread } from "./thread.ts";

/** Of V8's heap, in MB. Pixels and the memories of codecs are not on it. */
const HEAP = { maxOldGenerationSizeMb: 512, maxYoungGenerationSizeMb: 32 };

/** Files beside this one. Bundlers know the expressions, and put a copy of the file where each points. */
export const startOwnFile: StartThread = (events) =>
  threadOf(new Worker(new URL("./worker.js", import.meta.url), OPTIONS), events);
export const startKernelFile: StartThread = (events) =>
  threadOf(new Worker(new URL("./kernel-worker.js", import.meta.url), OPTIONS), events);

/** A variable: bundlers would make a second engine of the file and the chunks that it needs. */
const MODEL_FILE: string = "./model-worker.js";

/** Models live in it, which may hold as much as the process. */
export const startModelFile: StartThread = (events) =>
  threadOf(new Worker(new URL(MODEL_FILE, import.meta.url), { execArgv: [] }), events);

/** The process's own flags are not for it: loaders and preloaded scripts would run in each. */
const OPTIONS = { resourceLimits: HEAP, execArgv: [] };

/** @param url or a path. */
export function startFrom(url: string | URL): StartThread {
  const isUrl = url instanceof URL || /^[a-z]{2,}:/i.test(url);
  return (events) => threadOf(new Worker(isUrl ? new URL(url) : resolve(url), OPTIONS), events);
}

/** Starts it from its text, for where the file is not to be had. */
export function startText(loadText: () => Promise<string>): StartThread {
  return async (events) => {
    const text = encodeURIComponent(await loadText());
    return threadOf(new Worker(new URL(`data:text/javascript,${text}`), OPTIONS), events);
  };
}

function threadOf(worker: Worker, events: ThreadEvents): WorkerThread {
  worker.on("message", (message) => events.message(message));
  worker.on("messageerror", (error) => events.ended("a message could not be read", error));
  worker.on("error", (error: NodeJS.ErrnoException) => {
    const isMemory = error?.code === "ERR_WORKER_OUT_OF_MEMORY";
    if (!isMemory) return events.ended(`it failed: ${error?.message ?? error}`, error);
    const outgrown = new HeapOutgrown(HEAP.maxOldGenerationSizeMb, { cause: error });
    events.ended(outgrown.message, outgrown);
  });
  worker.on("exit", (code) => events.ended(`it ended with code ${code}`));
  return {
    post: (message, transfer) => worker.postMessage(message, transfer as TransferListItem[]),
    terminate: () => void worker.terminate(),
    keepAlive: (on) => (on ? worker.ref() : worker.unref()),
  };
}
