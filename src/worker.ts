/**
 * What runs in the SDK's workers: one script that needs no other file. It has no import or export of its own, so that
 * it loads as a module and as a classic script, under whatever name a bundler gives it. It has the kernels' tasks too
 * (`kernel-worker.ts` has these alone), for pages that have this file only; and the engine, for pages whose models live in
 * a worker.
 */

import { kernelTasks } from "./backends/wasm/kernel-tasks.ts";
import { documentTasks } from "./documents/tasks.ts";
import { edgePlatform, loadModelOn } from "./edge-engine.ts";
import { grammarTasks } from "./grammar/tasks.ts";
import { mediaTasks } from "./media/tasks.ts";
import { modelTasks } from "./remote/serve-models.ts";
import { askedFile } from "./workers/asked-files.ts";
import { limitCollections } from "./workers/limit-collections.ts";
import { nestedThreads } from "./workers/nested-threads.ts";
import { ownPort } from "./workers/port.ts";
import { serveTasks } from "./workers/serve.ts";
import type { TaskTable } from "./workers/task.ts";

let isLimited = false;

/** What strangers' files are parsed into is bounded; a worker that has models parses none. */
function limited<T extends TaskTable>(tasks: T): TaskTable {
  const limit = ([name, task]: [string, TaskTable[string]]) => [
    name,
    (...input: Parameters<TaskTable[string]>) => {
      if (!isLimited) limitCollections();
      isLimited = true;
      return task(...input);
    },
  ];
  return Object.fromEntries(Object.entries(tasks).map(limit));
}

const platform = edgePlatform({ threads: nestedThreads, file: askedFile, version: GLIMT_VERSION });
const models = modelTasks((location, options) => loadModelOn(platform, location, options));

ownPort().then((port) =>
  serveTasks(
    port,
    {
      ...limited({ ...mediaTasks(), ...grammarTasks(), ...documentTasks() }),
      ...kernelTasks(),
      ...models,
    },
    GLIMT_VERSION,
  ),
);
