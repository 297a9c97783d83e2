/** Tasks in a worker. */

import { abortError, GlimtError } from "../errors.ts";
import {
  type Answer,
  type Call,
  type FileAsk,
  type FileReply,
  packError,
  type Ready,
  unpackError,
} from "./messages.ts";
import type { CallOptions, TaskHost, TaskInput, TaskResult, TaskTable } from "./task.ts";
import type { StartThread, WorkerThread } from "./thread.ts";
import { watch } from "./watch.ts";

/** What can not be loaded is told at once; but a file that is no worker of ours says nothing, and a network may hang. */
const START_MILLISECONDS = 30_000;

/** Files of the package by name: the text of "worker.js", and what that script asks for, since it has it not in it. */
export type PackageFile = (name: string) => Promise<unknown>;

interface Pending {
  resolve(result: unknown): void;
  reject(error: unknown): void;
  died(reason: string, cause: unknown): void;
  readonly keepsAlive: boolean;
}

/**
 * Starts a worker and waits until it is loaded.
 *
 * @param file what the worker may ask for
 * @throws Error when it can not be, does not answer, or is of another version.
 */
export async function startWorker<T extends TaskTable>(
  start: StartThread,
  version: string,
  file?: PackageFile,
): Promise<TaskHost<T>> {
  const worker = new WorkerTasks<T>(file);
  await worker.start(start, version);
  return worker;
}

/** Starts a worker in the first way that works. @throws what the last one throws */
export async function startFirstWorker<T extends TaskTable>(
  starts: readonly StartThread[],
  version: string,
): Promise<TaskHost<T>> {
  let last: unknown;
  for (const start of starts) {
    try {
      return await startWorker<T>(start, version);
    } catch (error) {
      last = error;
    }
  }
  throw last;
}

class WorkerTasks<T extends TaskTable> implements TaskHost<T> {
  readonly #file: PackageFile | undefined;
  #thread: WorkerThread | undefined;
  /** Why it ended, once it has. */
  #end: { readonly reason: string; readonly cause: unknown } | undefined;
  readonly #pending = new Map<number, Pending>();
  #lastId = 0;
  #started: { resolve(): void; reject(error: Error): void } | undefined;

  constructor(file: PackageFile | undefined) {
    this.#file = file;
  }

  get isEnded(): boolean {
    return this.#end !== undefined;
  }

  start(start: StartThread, version: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.end("it does not answer"), START_MILLISECONDS);
      this.#started = {
        resolve: () => {
          clearTimeout(timer);
          this.#started = undefined;
          this.#thread?.keepAlive(false);
          resolve();
        },
        reject: (error) => {
          clearTimeout(timer);
          this.#started = undefined;
          reject(error);
        },
      };
      const events = {
        message: (message: unknown) => this.#hear(message as Ready | Answer | FileAsk, version),
        ended: (reason: string, cause?: unknown) => this.end(reason, cause),
      };
      new Promise<WorkerThread>((done) => done(start(events))).then(
        (thread) => {
          this.#thread = thread;
          if (this.#end) thread.terminate();
        },
        (error) => this.end(String(error?.message ?? error), error),
      );
    });
  }

  call<Name extends keyof T & string>(
    name: Name,
    input: TaskInput<T, Name>,
    options: CallOptions,
  ): Promise<TaskResult<T, Name>> {
    const { signal, timeout, errors, keepsAlive = true } = options;
    if (signal?.aborted) return Promise.reject(abortError(signal));
    if (this.#end) return Promise.reject(errors.died(this.#end.reason, this.#end.cause));
    return new Promise((resolve, reject) => {
      const id = ++this.#lastId;
      const settle = () => {
        stopWatch();
        this.#pending.delete(id);
        if (![...this.#pending.values()].some(({ keepsAlive }) => keepsAlive)) this.#thread?.keepAlive(false);
      };
      const stopWatch = watch(signal, timeout, errors.late, (error) => {
        settle();
        reject(error);
        this.end("another task of the worker was given up");
      });
      this.#pending.set(id, {
        resolve: (result) => {
          settle();
          resolve(result as TaskResult<T, Name>);
        },
        reject: (error) => {
          settle();
          reject(error instanceof GlimtError ? error : errors.failed(error));
        },
        died: (reason, cause) => {
          settle();
          reject(errors.died(reason, cause));
        },
        keepsAlive,
      });
      if (keepsAlive) this.#thread?.keepAlive(true);
      try {
        this.#thread?.post({ id, name, input } satisfies Call, options.transfer ?? []);
      } catch (error) {
        this.#pending.get(id)?.reject(error);
      }
    });
  }

  end(reason: string, cause?: unknown): void {
    if (this.#end) return;
    this.#end = { reason, cause };
    this.#thread?.terminate();
    this.#started?.reject(new Error(reason, { cause }));
    for (const { died } of [...this.#pending.values()]) died(reason, cause);
  }

  #hear(message: Ready | Answer | FileAsk, version: string): void {
    if (this.#end) return;
    if (this.#started) {
      const { ready } = (message ?? {}) as Partial<Ready>;
      if (ready === version) this.#started.resolve();
      else this.end(`it is of another version (${ready}, not ${version})`);
      return;
    }
    if ("asked" in message) {
      this.#giveFile(message);
      return;
    }
    const answer = message as Answer;
    const pending = this.#pending.get(answer.id);
    if ("error" in answer) pending?.reject(unpackError(answer.error));
    else pending?.resolve(answer.result);
  }

  async #giveFile({ asked, file }: FileAsk): Promise<void> {
    const post = (reply: FileReply) => this.#end || this.#thread?.post(reply, []);
    try {
      post({ asked, result: await this.#file?.(file) });
    } catch (error) {
      post({ asked, error: packError(error) });
    }
  }
}
