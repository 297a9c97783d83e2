/** Tasks on the caller's own thread, where no worker can be had: given up by not waiting for them any more. */

import { abortError, GlimtError } from "../errors.ts";
import type { CallOptions, TaskHost, TaskInput, TaskResult, TaskTable } from "./task.ts";
import { watch } from "./watch.ts";

export class InlineTasks<T extends TaskTable> implements TaskHost<T> {
  readonly #load: () => Promise<T>;
  #tasks: Promise<T> | undefined;
  readonly #gone = new AbortController();
  #reason: string | undefined;

  /** @param load makes a table of its own, with the first call. */
  constructor(load: () => Promise<T>) {
    this.#load = load;
  }

  get isEnded(): boolean {
    return this.#reason !== undefined;
  }

  async call<Name extends keyof T & string>(
    name: Name,
    input: TaskInput<T, Name>,
    { signal, timeout, errors }: CallOptions,
  ): Promise<TaskResult<T, Name>> {
    if (signal?.aborted) throw abortError(signal);
    if (this.#reason !== undefined) throw errors.died(this.#reason, undefined);
    let stopWaiting = () => {};
    const givenUp = new Promise<never>((_, reject) => {
      const stopWatch = watch(signal, timeout, errors.late, (error) => {
        reject(error);
        this.end("another task was given up");
      });
      const onEnd = () => reject(errors.died(this.#reason ?? "it was ended", undefined));
      this.#gone.signal.addEventListener("abort", onEnd);
      stopWaiting = () => {
        stopWatch();
        this.#gone.signal.removeEventListener("abort", onEnd);
      };
    });
    const work = async () => {
      this.#tasks ??= this.#load();
      try {
        const tasks = await this.#tasks;
        return (await tasks[name]?.(input, this.#gone.signal)) as TaskResult<T, Name>;
      } catch (error) {
        throw error instanceof GlimtError ? error : errors.failed(error);
      }
    };
    try {
      return await Promise.race([work(), givenUp]);
    } finally {
      stopWaiting();
    }
  }

  end(reason: string): void {
    if (this.#reason !== undefined) return;
    this.#reason = reason;
    this.#gone.abort();
  }
}
