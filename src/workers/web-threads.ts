/** The SDK's own workers in browsers: files beside this one. */

import type { StartThread } from "./thread.ts";
import { threadOf } from "./web-workers.ts";

export { startFrom, startText } from "./web-workers.ts";

/** Bundlers know the expressions, and put a copy of the file where each points. */
export const startOwnFile: StartThread = (events) =>
  threadOf(new Worker(new URL("./worker.js", import.meta.url), { type: "module" }), events);
export const startKernelFile: StartThread = (events) =>
  threadOf(new Worker(new URL("./kernel-worker.js", import.meta.url), { type: "module" }), events);
