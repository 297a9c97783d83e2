/** What a worker does for the kernels: it runs programs, or parts of their phases, in memory that engines share with it. */
import type { KernelExports, Pointer } from "./kernels.ts";

/** Words that a crew and its workers share. */
export const CONTROL = {
  /** Grows with everything that is to be noticed; sleepers wait for it to change. */
  bell: 0,
  /** Workers that sleep, or are about to. */
  sleepers: 1,
  /** Whose memory is run on. */
  engine: 2,
  /** Not 0: there are messages. */
  mail: 3,
} as const;
export const CONTROL_WORDS = 4;

/**
 * Looks for a job before a thread sleeps: about a millisecond, more than lies between two steps of a model, as waking up takes as
 * long as some parts.
 */
const PATIENCE = 1_000_000;

interface Joined {
  readonly exports: KernelExports;
  readonly worker: number;
}

export interface JoinInput {
  readonly engine: number;
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  /** Its number; 0 leads. */
  readonly worker: number;
  /** The end of the memory that is its stack. */
  readonly stackTop: Pointer;
}

/** What the thread that leads is called for. */
export type LeaderCall = "glimt_run_together" | "glimt_peak_together";

export interface CallInput {
  readonly engine: number;
  readonly name: LeaderCall;
  readonly args: readonly number[];
  readonly control: Int32Array<SharedArrayBuffer>;
}

/** Wakes the workers that sleep. */
export function ring(control: Int32Array<SharedArrayBuffer>): void {
  Atomics.add(control, CONTROL.bell, 1);
  if (Atomics.load(control, CONTROL.sleepers) > 0) Atomics.notify(control, CONTROL.bell);
}

export interface Called {
  readonly result: number;
  /** That it took, on its thread. */
  readonly milliseconds: number;
}

export type KernelTasks = ReturnType<typeof kernelTasks>;

export function kernelTasks() {
  const engines = new Map<number, Joined>();
  return {
    async joinKernels({ engine, module, memory, worker, stackTop }: JoinInput): Promise<void> {
      const { exports } = await WebAssembly.instantiate(module, { env: { memory } });
      const kernels = exports as unknown as KernelExports;
      const stackPointer = kernels.__stack_pointer;
      stackPointer.value = typeof stackPointer.value === "bigint" ? BigInt(stackTop) : stackTop;
      engines.set(engine, { exports: kernels, worker });
    },

    async leaveKernels({ engine }: { engine: number }): Promise<void> {
      engines.delete(engine);
    },

    /** Runs something as the one who leads: to its end, or until it is asked to stop. */
    async callKernels({ engine, name, args, control }: CallInput): Promise<Called> {
      const run = engines.get(engine)?.exports[name] as ((...args: number[]) => number) | undefined;
      if (!run) throw new Error("the engine has left");
      const began = performance.now();
      // Some may have fallen asleep again since the caller rang: this message can take longer than their patience.
      ring(control);
      const result = run(...args);
      return { result, milliseconds: performance.now() - began };
    },

    /** Holds the thread until there are messages. */
    async serveKernels({ control }: { control: Int32Array<SharedArrayBuffer> }): Promise<void> {
      for (;;) {
        const bell = Atomics.load(control, CONTROL.bell);
        if (Atomics.load(control, CONTROL.mail) !== 0) return;
        const joined = engines.get(Atomics.load(control, CONTROL.engine));
        joined?.exports.glimt_serve(joined.worker, PATIENCE);
        Atomics.add(control, CONTROL.sleepers, 1);
        Atomics.wait(control, CONTROL.bell, bell);
        Atomics.sub(control, CONTROL.sleepers, 1);
      }
    },
  };
}
