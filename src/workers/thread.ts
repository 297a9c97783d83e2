/** A worker as the platform has it. */

export interface WorkerThread {
  post(message: unknown, transfer: readonly Transferable[]): void;
  /** Ends it at once, whatever it does. */
  terminate(): void;
  /** Whether the process waits for it; only where a worker can keep one alive. */
  keepAlive(on: boolean): void;
}

/** What `ended` gives as its cause where the worker's heap outgrew its limit: what it worked on takes too much memory. */
export class HeapOutgrown extends Error {
  constructor(megabytes: number, options?: { readonly cause?: unknown }) {
    super(`it took more than ${megabytes} MB`, options);
    this.name = "HeapOutgrown";
  }
}

export interface ThreadEvents {
  message(message: unknown): void;
  /** It could not be loaded, crashed, or ended; no message follows. `reason` says which, in a few words. */
  ended(reason: string, cause?: unknown): void;
}

/** Starts a worker. Throws, rejects or tells `ended` where that is not possible. */
export type StartThread = (events: ThreadEvents) => WorkerThread | Promise<WorkerThread>;

/** How a platform starts the SDK's workers. */
export interface Threads {
  /** From the file beside the SDK's own that has all tasks. */
  readonly startOwnFile: StartThread;
  /** From the one that has the kernels' alone. */
  readonly startKernelFile: StartThread;
  /** From a copy of it. */
  startFrom(url: string | URL): StartThread;
  /** From its text, which is loaded when it comes to that. */
  startText(loadText: () => Promise<string>): StartThread;
}
