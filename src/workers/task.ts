/** Tasks: functions that can run in a worker. */

/**
 * Named functions of one argument. Arguments and results are cloned on their way, or handed over. `signal` fires when
 * the caller has given the task up and it runs where it can not be ended from outside; in a worker it never does.
 */
// biome-ignore lint/suspicious/noExplicitAny: each task has types of its own, which TaskInput and TaskResult give back
export type TaskTable = Readonly<Record<string, (input: any, signal: AbortSignal) => Promise<unknown>>>;

export type TaskInput<T extends TaskTable, Name extends keyof T> = Parameters<T[Name]>[0];
export type TaskResult<T extends TaskTable, Name extends keyof T> = Awaited<ReturnType<T[Name]>>;

export interface CallOptions {
  /** Parts of the input to hand over instead of copying; the caller has them no longer. */
  readonly transfer?: readonly Transferable[];
  /** Ends the task at once, in a worker also while it computes; the call rejects with ABORTED. */
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds after which the task is ended. Default: none. */
  readonly timeout?: number | undefined;
  /** Whether the process waits for the answer; default: it does. */
  readonly keepsAlive?: boolean;
  /** Errors of the caller's own, which know what was worked on. */
  readonly errors: CallErrors;
}

export interface CallErrors {
  /** The time was up. */
  late(milliseconds: number): Error;
  /** The worker ended by itself: out of memory, a crash. `reason` completes "it could not be done: ...". */
  died(reason: string, cause: unknown): Error;
  /** The task threw something that is no GlimtError. */
  failed(cause: unknown): Error;
}

/** Who runs tasks for one caller: a worker, or the thread of the caller. */
export interface TaskHost<T extends TaskTable> {
  /** Rejects with a GlimtError of the task, with ABORTED, or with one of `options.errors`. */
  call<Name extends keyof T & string>(
    name: Name,
    input: TaskInput<T, Name>,
    options: CallOptions,
  ): Promise<TaskResult<T, Name>>;
  /** It takes no more calls: it was ended, or ended itself. */
  readonly isEnded: boolean;
  /** Stops what runs. Pending calls reject, later ones too, with `errors.died`. */
  end(reason: string): void;
}

const handedOver = new WeakMap<object, readonly Transferable[]>();

/** Marks the parts of a task's result that are handed over instead of copied. */
export function handOver<T extends object>(result: T, parts: readonly Transferable[]): T {
  handedOver.set(result, parts);
  return result;
}

export function partsToHandOver(result: unknown): readonly Transferable[] {
  return (typeof result === "object" && result !== null && handedOver.get(result)) || [];
}
