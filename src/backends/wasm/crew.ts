/**
 * The threads that run parts beside the one that runs programs: workers of the SDK's, shared by all models of the process.
 *
 * In a run they look for parts inside the module (wasm/kernels/crew.cpp); when there was none for a while they sleep on a
 * word of shared memory, which costs nothing, and the next slice of a run wakes them.
 */
import { GlimtError } from "../../errors.ts";
import type { TaskHost } from "../../workers/task.ts";
import { CONTROL, CONTROL_WORDS, type KernelTasks } from "./kernel-tasks.ts";
import type { Kernels } from "./kernels.ts";

/** Starts a worker that has the kernel tasks. */
export type StartKernelWorker = () => Promise<TaskHost<KernelTasks>>;

/** Of a thread's own stack: as much as the module's first. */
const STACK_BYTES = 1 << 20;

export class Crew {
  readonly #start: StartKernelWorker;
  readonly #control = new Int32Array(new SharedArrayBuffer(4 * CONTROL_WORDS));
  readonly #members: TaskHost<KernelTasks>[] = [];
  #lastEngine = 0;
  /** Changes of who is there and what they know, one after another. */
  #changing: Promise<unknown> = Promise.resolve();
  #lost: string | undefined;
  /** Engines that nobody holds any more leave, as those do that are disposed of. */
  readonly #forgotten = new FinalizationRegistry<number>((engine) => this.#leave(engine));

  constructor(start: StartKernelWorker) {
    this.#start = start;
  }

  /** A thread was lost: no engine can run with this crew any more. */
  get isLost(): boolean {
    return this.#lost !== undefined;
  }

  /**
   * Lets `others` more threads take part in runs on `kernels`.
   *
   * @returns what an engine needs of them. @throws BACKEND_UNAVAILABLE when a thread can not be started; OUT_OF_MEMORY
   */
  join(module: WebAssembly.Module, kernels: Kernels, others: number): Promise<CrewPass> {
    return this.#change(async () => {
      while (this.#members.length < others) {
        this.#members.push(await this.#startMember());
      }
      const engine = ++this.#lastEngine;
      const members = this.#members.slice(0, others);
      await Promise.all(
        members.map(async (host, index) => {
          const stack = kernels.glimt_allocate(STACK_BYTES);
          if (stack === 0)
            throw new GlimtError("OUT_OF_MEMORY", "WebAssembly has no memory for a thread's stack.");
          const { memory } = kernels;
          const input = { engine, module, memory, worker: index + 1, stackTop: stack + STACK_BYTES };
          await host.call("joinKernels", input, { errors: ERRORS });
        }),
      );
      kernels.threads = members.length + 1;
      this.#forgotten.register(kernels, engine);
      return { begin: () => this.#begin(engine), leave: () => this.#leave(engine) };
    });
  }

  async #startMember(): Promise<TaskHost<KernelTasks>> {
    try {
      return await this.#start();
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new GlimtError(
        "BACKEND_UNAVAILABLE",
        `No thread can be started here (${reason}); leave the option threads out, or pass 1.`,
        { cause },
      );
    }
  }

  #leave(engine: number): void {
    const leave = (host: TaskHost<KernelTasks>) => host.call("leaveKernels", { engine }, { errors: ERRORS });
    // A thread that is gone has left.
    this.#change(() => Promise.all(this.#members.map(leave))).catch(() => {});
  }

  /** Without one of them the others are of no use. */
  #lose(reason: string): void {
    this.#lost ??= reason;
    for (const host of this.#members) host.end("another thread was lost");
  }

  /** A slice of a run on an engine's memory begins. @throws DEVICE_FAILED when a thread was lost */
  #begin(engine: number): void {
    if (this.#lost !== undefined) {
      throw new GlimtError(
        "DEVICE_FAILED",
        `A thread of the kernels ended (${this.#lost}); load the model again.`,
      );
    }
    Atomics.store(this.#control, CONTROL.engine, engine);
    this.#ring();
  }

  #ring(): void {
    Atomics.add(this.#control, CONTROL.bell, 1);
    if (Atomics.load(this.#control, CONTROL.sleepers) > 0) Atomics.notify(this.#control, CONTROL.bell);
  }

  /** Calls the threads out of the modules, so that they read the messages of `task`, and sends them back. */
  #change<T>(task: () => Promise<T>): Promise<T> {
    const changed = this.#changing.then(async () => {
      Atomics.store(this.#control, CONTROL.mail, 1);
      this.#ring();
      try {
        return await task();
      } finally {
        Atomics.store(this.#control, CONTROL.mail, 0);
        for (const host of this.#members) {
          const options = { keepsAlive: false, errors: ERRORS };
          host.call("serveKernels", { control: this.#control }, options).catch((error) => {
            this.#lose(error.message);
          });
        }
      }
    });
    this.#changing = changed.catch(() => {});
    return changed;
  }
}

/** What an engine has of the crew. */
export interface CrewPass {
  begin(): void;
  /** The engine is gone. */
  leave(): void;
}

const ERRORS = {
  late: () => new GlimtError("DEVICE_FAILED", "A thread of the kernels did not answer."),
  died: (reason: string, cause: unknown) =>
    new GlimtError("DEVICE_FAILED", `A thread of the kernels ended: ${reason}.`, { cause }),
  failed: (cause: unknown) => new GlimtError("DEVICE_FAILED", "A thread of the kernels failed.", { cause }),
};
