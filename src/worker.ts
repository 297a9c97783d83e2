/**
 * What runs in the SDK's workers: one script that needs no other file. It has no import or export of its own, so that
 * it loads as a module and as a classic script, under whatever name a bundler gives it. It has the kernels' tasks too
 * (`kernel-worker.ts` has these alone), for pages that have this file only.
 */

import { kernelTasks } from "./backends/wasm/kernel-tasks.ts";
import { grammarTasks } from "./grammar/tasks.ts";
import { mediaTasks } from "./media/tasks.ts";
import { limitCollections } from "./workers/limit-collections.ts";
import { ownPort } from "./workers/port.ts";
import { serveTasks } from "./workers/serve.ts";

limitCollections();
ownPort().then((port) =>
  serveTasks(port, { ...mediaTasks(), ...grammarTasks(), ...kernelTasks() }, GLIMT_VERSION),
);
