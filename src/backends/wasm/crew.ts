/**
 * The threads that run programs on shared memory: workers of the SDK's, shared by all models of the process.
 *
 * The first one leads: it is sent a program, runs it and answers, so that the caller's thread is free meanwhile. The
 * others look for parts of it inside the module (wasm/kernels/crew.cpp); when there was none for a while they sleep on a
 * word of shared memory, which costs nothing, and the next run wakes them.
 *
 * Runs of several models, and changes of who is there, take turns: for one that waits the run before it is stopped after a
 * while, and goes on behind it.
 */
import { GlimtError } from "../../errors.ts";
import { TURN_MS } from "../../event-loop.ts";
import type { TaskHost } from "../../workers/task.ts";
import { Turns } from "../../workers/turns.ts";
import {
  type Called,
  type CallInput,
  CONTROL,
  CONTROL_WORDS,
  type KernelTasks,
  type LeaderCall,
  ring,
} from "./kernel-tasks.ts";
import type { Kernels, Pointer } from "./kernels.ts";

/** Starts a worker that has the kernel tasks. */
export type StartKernelWorker = () => Promise<TaskHost<KernelTasks>>;

/**
 * Milliseconds after which the threads end that an engine has left, in case another comes; from the first one that left,
 * since the memory of each stays until then.
 */
const LEFT = 2_000;

interface Joined {
  readonly module: WebAssembly.Module;
  readonly kernels: WeakRef<Kernels>;
  readonly stackTops: readonly Pointer[];
}

export class Crew {
  readonly #start: StartKernelWorker;
  readonly #control = new Int32Array(new SharedArrayBuffer(4 * CONTROL_WORDS));
  /** The first one leads. */
  readonly #members: TaskHost<KernelTasks>[] = [];
  readonly #engines = new Map<number, Joined>();
  #lastEngine = 0;
  #growing: Promise<unknown> = Promise.resolve();
  readonly #turns = new Turns(1);
  #waiting = 0;
  /** Whose program is run now, and the end of its turn. */
  #running: Kernels | undefined;
  #turnEnd: Timer | undefined;
  #left: Timer | undefined;
  #lost: string | undefined;
  /** Engines that nobody holds any more leave, as those do that are disposed of. */
  readonly #forgotten = new FinalizationRegistry<number>((engine) => this.#leave(engine));

  constructor(start: StartKernelWorker) {
    this.#start = start;
  }

  /** A thread was lost, or all have ended: no engine can run with this crew any more. */
  get isLost(): boolean {
    return this.#lost !== undefined;
  }

  /**
   * Lets threads run programs of `kernels`, one for each stack.
   *
   * @param stackTops the ends of the memory that are their stacks
   * @returns what an engine needs of them. @throws BACKEND_UNAVAILABLE when a thread can not be started; DEVICE_FAILED
   */
  async join(module: WebAssembly.Module, kernels: Kernels, stackTops: readonly Pointer[]): Promise<CrewPass> {
    const engine = ++this.#lastEngine;
    this.#engines.set(engine, { module, kernels: new WeakRef(kernels), stackTops });
    try {
      await this.#grow(stackTops.length);
      await this.#change(() => this.#joinMembers(engine));
    } catch (error) {
      if (this.#members.some(({ isEnded }) => isEnded)) this.#lose((error as Error).message);
      this.#leave(engine);
      throw error;
    }
    this.#forgotten.register(kernels, engine);
    return {
      call: (kernels, name, args, isWanted) =>
        this.#call(kernels, { engine, name, args, control: this.#control }, isWanted),
      throwIfLost: () => this.#throwIfLost(),
      leave: () => this.#leave(engine),
    };
  }

  async #joinMembers(engine: number): Promise<void> {
    const { module, kernels, stackTops } = this.#engines.get(engine) ?? {};
    const memory = kernels?.deref()?.memory;
    if (!module || !stackTops || !memory) return;
    await Promise.all(
      stackTops.map((stackTop, worker) =>
        this.#members[worker]?.call(
          "joinKernels",
          { engine, module, memory, worker, stackTop },
          { errors: ERRORS },
        ),
      ),
    );
  }

  /** Starts the threads that are missing. */
  #grow(size: number): Promise<void> {
    const grown = this.#growing.then(async () => {
      this.#throwIfLost();
      this.#members.push(...(await this.#startThreads(size - this.#members.length)));
    });
    this.#growing = grown.catch(() => {});
    return grown;
  }

  /** Side by side. @throws BACKEND_UNAVAILABLE, and then none is started */
  async #startThreads(count: number): Promise<TaskHost<KernelTasks>[]> {
    const starts = await Promise.allSettled(Array.from({ length: Math.max(0, count) }, () => this.#start()));
    const hosts = starts.flatMap((start) => (start.status === "fulfilled" ? [start.value] : []));
    const failed = starts.find((start) => start.status === "rejected");
    if (!failed) return hosts;
    for (const host of hosts) host.end("another thread could not be started");
    const { reason: cause } = failed;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new GlimtError(
      "BACKEND_UNAVAILABLE",
      `No thread can be started here (${reason}); leave the option threads out, or pass 1.`,
      { cause },
    );
  }

  #leave(engine: number): void {
    if (!this.#engines.delete(engine)) return;
    this.#left ??= later(LEFT, () => {
      this.#left = undefined;
      if (this.#engines.size === 0) this.#lose("no model needed it");
      else if (!this.isLost) this.#renew();
    });
    const leave = (host: TaskHost<KernelTasks>) => host.call("leaveKernels", { engine }, { errors: ERRORS });
    // A thread that is gone has left.
    this.#change(() => Promise.all(this.#members.map(leave))).catch(() => {});
  }

  /**
   * New threads in place of those that an engine has left: as these allocate nothing they collect nothing, and its memory
   * would stay.
   */
  #renew(): void {
    const renewed = this.#growing.then(async () => {
      const fresh = await this.#startThreads(this.#members.length);
      if (this.isLost) {
        for (const host of fresh) host.end("another thread was lost");
        return;
      }
      await this.#change(async () => {
        for (const host of this.#members.splice(0, Number.POSITIVE_INFINITY, ...fresh)) {
          host.end("another one takes its place");
        }
        await Promise.all([...this.#engines.keys()].map((engine) => this.#joinMembers(engine)));
      }).catch((error) => this.#lose(error.message));
    });
    // Where none can be started the old ones go on.
    this.#growing = renewed.catch(() => {});
  }

  /** Without one of them the others are of no use. */
  #lose(reason: string): void {
    this.#lost ??= reason;
    for (const host of this.#members) host.end("another thread was lost");
  }

  #throwIfLost(cause?: unknown): void {
    if (this.#lost === undefined) return;
    throw new GlimtError(
      "DEVICE_FAILED",
      `A thread of the kernels ended (${this.#lost}); load the model again.`,
      { cause },
    );
  }

  #call(kernels: Kernels, input: CallInput, isWanted: () => boolean): Promise<Called | null> {
    return this.#turn(async () => {
      this.#throwIfLost();
      kernels.glimt_stop(0);
      if (!isWanted()) return null;
      this.#running = kernels;
      this.#limitTurn();
      Atomics.store(this.#control, CONTROL.engine, input.engine);
      ring(this.#control);
      try {
        const [leader] = this.#members as [TaskHost<KernelTasks>];
        return await leader.call("callKernels", input, { errors: ERRORS });
      } catch (error) {
        this.#lose((error as Error).message);
        this.#throwIfLost(error);
        throw error;
      } finally {
        this.#running = undefined;
        clearTimeout(this.#turnEnd);
        this.#turnEnd = undefined;
      }
    });
  }

  /** Calls the threads out of the modules, so that they read the messages of `task`, and sends them back. */
  #change<T>(task: () => Promise<T>): Promise<T> {
    return this.#turn(async () => {
      Atomics.store(this.#control, CONTROL.mail, 1);
      ring(this.#control);
      try {
        return await task();
      } finally {
        Atomics.store(this.#control, CONTROL.mail, 0);
        for (const host of this.#members.slice(1)) {
          const options = { keepsAlive: false, errors: ERRORS };
          host.call("serveKernels", { control: this.#control }, options).catch((error) => {
            if (this.#members.includes(host)) this.#lose(error.message);
          });
        }
      }
    });
  }

  async #turn<T>(task: () => Promise<T>): Promise<T> {
    this.#waiting += 1;
    this.#limitTurn();
    await this.#turns.take(undefined);
    this.#waiting -= 1;
    try {
      return await task();
    } finally {
      this.#turns.free();
    }
  }

  /** Where somebody waits, the run under way ends its turn soon. */
  #limitTurn(): void {
    const running = this.#running;
    if (running && this.#waiting > 0) {
      this.#turnEnd ??= setTimeout(() => running.glimt_stop(1), TURN_MS);
    }
  }
}

/** What an engine has of the crew. */
export interface CrewPass {
  /**
   * Calls a function of the engine's module on the thread that leads when its turn has come. It may stop before its end:
   * when it is asked to, and when others wait.
   *
   * @returns null when `isWanted` says no then. @throws DEVICE_FAILED when a thread was lost
   */
  call(
    kernels: Kernels,
    name: LeaderCall,
    args: readonly number[],
    isWanted: () => boolean,
  ): Promise<Called | null>;
  /** @throws DEVICE_FAILED */
  throwIfLost(): void;
  /** The engine is gone. */
  leave(): void;
}

const ERRORS = {
  late: () => new GlimtError("DEVICE_FAILED", "it did not answer"),
  died: (reason: string, cause: unknown) => new GlimtError("DEVICE_FAILED", reason, { cause }),
  failed: (cause: unknown) => new GlimtError("DEVICE_FAILED", String(cause), { cause }),
};

type Timer = ReturnType<typeof setTimeout>;

/** A timer that keeps no process alive. */
function later(milliseconds: number, task: () => void): Timer {
  const timer = setTimeout(task, milliseconds);
  if (typeof timer === "object") (timer as { unref?(): void }).unref?.();
  return timer;
}
