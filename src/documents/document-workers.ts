/** How the documents room asks for its tasks. */

import { GlimtError } from "../errors.ts";
import type { CallOptions } from "../workers/task.ts";
import type { Workers } from "../workers/workers.ts";
import type { DocumentTasks } from "./tasks.ts";

export type DocumentWorkers = Workers<DocumentTasks>;

/** The tasks for this thread, where no worker can be had. */
export async function inlineTasks(): Promise<DocumentTasks> {
  const { documentTasks } = await import("./tasks.ts");
  return documentTasks();
}

/** What a call about the file `name` says when it fails, and how long it may take. */
export function callOptions(name: string, timeout: number, signal: AbortSignal | undefined): CallOptions {
  const failed = (reason: string, cause: unknown) =>
    new GlimtError("INPUT_INVALID", `PDF ${name} can not be rendered: ${reason}.`, { cause });
  return {
    signal,
    timeout,
    errors: {
      late: (milliseconds) =>
        new GlimtError(
          "TIMED_OUT",
          `A page of the PDF ${name} was not rendered within ${milliseconds} ms: it is large, or made to take long. ` +
            "Raise the option renderTimeout if you trust it.",
        ),
      died: (reason, cause) => failed(`the worker that read it is gone (${reason})`, cause),
      failed: (cause) => failed((cause as Error)?.message ?? String(cause), cause),
    },
  };
}
