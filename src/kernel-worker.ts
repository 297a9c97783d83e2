/**
 * What runs in the workers of kernel threads: a few kilobytes, since there may be many and a model waits for them. As
 * `worker.ts` it needs no other file, and has no import or export of its own.
 */

import { kernelTasks } from "./backends/wasm/kernel-tasks.ts";
import { ownPort } from "./workers/port.ts";
import { serveTasks } from "./workers/serve.ts";

ownPort().then((port) => serveTasks(port, kernelTasks(), GLIMT_VERSION));
