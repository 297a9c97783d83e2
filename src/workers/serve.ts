/** The worker's side: runs tasks for the thread that started it. */

import { askFilesOf, hearFile } from "./asked-files.ts";
import { packError } from "./messages.ts";
import type { WorkerPort } from "./port.ts";
import { partsToHandOver, type TaskTable } from "./task.ts";

/** Answers calls until the worker is ended. `version` tells the other side whether this is its own worker. */
export function serveTasks(port: WorkerPort, tasks: TaskTable, version: string): void {
  const never = new AbortController().signal;
  askFilesOf((ask) => port.post(ask, []));
  port.listen(async (message) => {
    if ("asked" in message) return hearFile(message);
    const { id, name, input } = message;
    try {
      const task = Object.hasOwn(tasks, name) ? tasks[name] : undefined;
      if (!task) throw new Error(`the worker has no task "${name}"`);
      const result = await task(input, never);
      port.post({ id, result }, partsToHandOver(result));
    } catch (error) {
      port.post({ id, error: packError(error) }, []);
    }
  });
  port.post({ ready: version }, []);
}
