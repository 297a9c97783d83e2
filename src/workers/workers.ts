/** The workers of the SDK: few, started when they are needed, ended when they are idle. */

import { abortError, throwIfAborted } from "../errors.ts";
import { InlineTasks } from "./inline-tasks.ts";
import type { CallOptions, TaskHost, TaskInput, TaskResult, TaskTable } from "./task.ts";
import type { StartThread } from "./thread.ts";
import { Turns } from "./turns.ts";
import { type PackageFile, startWorker } from "./worker-tasks.ts";

export interface WorkersOptions<T extends TaskTable> {
  /** Ways to start a worker, best first; one that fails before it ever worked is not tried again. */
  readonly starts: readonly StartThread[];
  /** What the workers must say they are. */
  readonly version: string;
  /** What a worker may ask for. */
  readonly file?: PackageFile;
  /** The same tasks, for this thread: used where no worker can be started. */
  readonly inline: () => Promise<T>;
  /** Workers at a time for single tasks, and as many for leases; further callers wait. Default 2. */
  readonly most?: number;
  /** Milliseconds after which a worker that nobody asks for ends. Default 2 seconds. */
  readonly idle?: number;
  /** Milliseconds after which a lease that is neither used nor released is taken back. Default 5 minutes. */
  readonly forgotten?: number;
}

const DEFAULTS = { most: 2, idle: 2_000, forgotten: 300_000 };

/** A worker of the caller's own, until it is released. */
export interface Lease<T extends TaskTable> extends Omit<TaskHost<T>, "end"> {
  /** Lets others have the worker; one with a call under way is ended. */
  release(): void;
}

export class Workers<T extends TaskTable> {
  readonly #options: WorkersOptions<T> & typeof DEFAULTS;
  #starts: readonly StartThread[];
  /** A start that has worked; its failures are the caller's to know. */
  #proven: StartThread | undefined;
  readonly #tasks: Turns;
  /** Apart, so that a task does not wait until somebody is through with a worker of his own. */
  readonly #leases: Turns;
  readonly #idle: { readonly host: TaskHost<T>; readonly timer: Timer }[] = [];

  constructor(options: WorkersOptions<T>) {
    this.#options = { ...DEFAULTS, ...options };
    this.#starts = options.starts;
    this.#tasks = new Turns(this.#options.most);
    this.#leases = new Turns(this.#options.most);
  }

  /** One task, when a worker is free for it. Rejects as TaskHost.call does. */
  async run<Name extends keyof T & string>(
    name: Name,
    input: TaskInput<T, Name>,
    options: CallOptions,
  ): Promise<TaskResult<T, Name>> {
    const lease = await this.#lease(this.#tasks, options);
    try {
      return await lease.call(name, input, options);
    } finally {
      lease.release();
    }
  }

  /** A worker for several tasks one after another, when one is free. @throws ABORTED; errors.died when none starts */
  lease(options: Pick<CallOptions, "signal" | "errors">): Promise<Lease<T>> {
    return this.#lease(this.#leases, options);
  }

  async #lease(turns: Turns, { signal, errors }: Pick<CallOptions, "signal" | "errors">): Promise<Lease<T>> {
    await turns.take(signal);
    const starting = this.#host();
    try {
      return this.#leaseOf(await unlessAborted(starting, signal), turns);
    } catch (error) {
      // A start that is given up goes on, and keeps its turn, or many of them would be under way at a time.
      starting
        .then((host) => this.#rest(host))
        .then(
          () => turns.free(),
          () => turns.free(),
        );
      throwIfAborted(signal);
      throw errors.died("no worker could be started", error);
    }
  }

  #leaseOf(host: TaskHost<T>, turns: Turns): Lease<T> {
    let running = 0;
    let isReleased = false;
    let timer: Timer;
    const giveBack = (keep: boolean) => {
      if (isReleased) return;
      isReleased = true;
      clearTimeout(timer);
      if (keep && !host.isEnded) this.#rest(host);
      else host.end("it was released");
      turns.free();
    };
    const forget = () => {
      timer = later(this.#options.forgotten, () => {
        host.end(`nobody asked for it for ${this.#options.forgotten / 1000} seconds`);
        giveBack(false);
      });
    };
    forget();
    return {
      get isEnded() {
        return isReleased || host.isEnded;
      },
      call: (name, input, options) => {
        clearTimeout(timer);
        running += 1;
        return host.call(name, input, options).finally(() => {
          running -= 1;
          if (running === 0 && !isReleased) forget();
        });
      },
      release: () => giveBack(running === 0),
    };
  }

  /** One that rests, or a new one. */
  async #host(): Promise<TaskHost<T>> {
    for (let rested = this.#idle.pop(); rested; rested = this.#idle.pop()) {
      clearTimeout(rested.timer);
      if (!rested.host.isEnded) return rested.host;
    }
    return this.#start();
  }

  async #start(): Promise<TaskHost<T>> {
    const { version, inline, file } = this.#options;
    for (let start = this.#starts[0]; start; start = this.#starts[0]) {
      try {
        const host = await startWorker<T>(start, version, file);
        this.#proven = start;
        return host;
      } catch (error) {
        // A start that has worked will work again; tasks must not move to this thread because memory is short.
        if (this.#proven === start) throw error;
        this.#starts = this.#starts.filter((other) => other !== start);
      }
    }
    return new InlineTasks(inline);
  }

  #rest(host: TaskHost<T>): void {
    if (host instanceof InlineTasks) return;
    const rested = {
      host,
      timer: later(this.#options.idle, () => {
        this.#idle.splice(this.#idle.indexOf(rested), 1);
        host.end("it was idle");
      }),
    };
    this.#idle.push(rested);
  }
}

/** @throws ABORTED */
async function unlessAborted<T>(task: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return task;
  let leave = () => {};
  const left = new Promise<never>((_, reject) => {
    leave = () => reject(abortError(signal));
    signal.addEventListener("abort", leave, { once: true });
  });
  try {
    return await Promise.race([task, left]);
  } finally {
    signal.removeEventListener("abort", leave);
  }
}

type Timer = ReturnType<typeof setTimeout>;

/** A timer that keeps no process alive. */
function later(milliseconds: number, task: () => void): Timer {
  const timer = setTimeout(task, milliseconds);
  if (typeof timer === "object") (timer as { unref?(): void }).unref?.();
  return timer;
}
