/** The kernel module (wasm/kernels): its exports, and instances of it, each with a memory of its own. */
import { GlimtError } from "../../errors.ts";
import { compileWasm } from "../../wasm-code.ts";
import { inUnits, type MemoryLimit, memoryLimit } from "./memory-limit.ts";
import { forOneThread } from "./one-thread.ts";
import type { Variant } from "./variant-choice.ts";

/** Address of something in the module's memory. */
export type Pointer = number;

/** How a run ended: at its end, before it, or with a fault. */
export type Progress = 0 | 1 | 2;

/** What wasm/kernels/exports.cpp exports, which takes and gives addresses as numbers. */
export interface KernelExports {
  _initialize(): void;
  /** As wide as the module's addresses. */
  readonly __stack_pointer: WebAssembly.Global<"i32" | "i64">;
  /** Takes part in runs of other threads until there was nothing to do for `patience` looks. */
  glimt_serve(worker: number, patience: number): void;
  /** Like `glimt_run` with no end to its budget, together with those that serve. */
  glimt_run_together(executable: Pointer, end: number): Progress;
  /** 1 asks the run under way to stop at the next part, 0 lets the next one run. */
  glimt_stop(yes: 0 | 1): void;
  /** No block ends behind this address from now on. */
  glimt_limit_memory(bytes: number): void;
  /** That blocks could still take, with what lies between those that are taken. */
  glimt_available_bytes(): number;
  glimt_allocate(bytes: number): Pointer;
  glimt_free(memory: Pointer): void;
  /** 0 when the bytes can not be run: `fault` receives why. */
  glimt_decode(bytes: Pointer, length: number, fault: Pointer): Pointer;
  /** What stopped the executable's last plan, start or run. */
  glimt_fault(executable: Pointer): Pointer;
  glimt_release(executable: Pointer): void;
  glimt_bind(executable: Pointer, buffer: number, data: Pointer, bytes: number): void;
  glimt_set_symbol(executable: Pointer, symbol: number, value: number): void;
  /** Bytes of arena a run needs whose parts `workers` share, -1 on a fault. */
  glimt_plan(executable: Pointer, workers: number): number;
  /** 0 on a fault. */
  glimt_start(executable: Pointer, arena: Pointer): number;
  /** For about `budget` operations, at most up to the instruction `end`. */
  glimt_run(executable: Pointer, budget: number, end: number): Progress;
  /** The instruction that runs next. */
  glimt_position(executable: Pointer): number;
  glimt_share(executable: Pointer): number;
  /** Where the elements of one of the program's tensors begin, once it was started. */
  glimt_operand(executable: Pointer, tensor: number): Pointer;
  /** The instruction that runs next was done by the caller: a collective, before which runs stop. */
  glimt_pass(executable: Pointer): void;
  /** Both return how many of the values they stored are infinite or NaN. */
  glimt_pack_rows(
    tiles: Pointer,
    dtype: number,
    cols: number,
    source: Pointer,
    sourceDType: number,
    firstRow: number,
    count: number,
  ): number;
  glimt_convert(
    out: Pointer,
    dtype: number,
    source: Pointer,
    sourceDType: number,
    rows: number,
    cols: number,
  ): number;
  /** What the machine can do: 96 floating-point operations an iteration, 2560 on integers, and one pass over memory. */
  glimt_peak_arithmetic(iterations: number, factor: number, term: number): number;
  glimt_peak_product(iterations: number, dtype: number, integers: number): number;
  glimt_peak_read(memory: Pointer, bytes: number): number;
  /** One of PEAK_LOOPS (ceilings.ts) as a phase of parts that all threads share; `amount` is a part's. */
  glimt_peak_together(
    loop: number,
    workers: number,
    parts: number,
    amount: number,
    memory: Pointer,
    factor: number,
    term: number,
  ): void;
}

/** An instance of the module. */
export interface Kernels extends KernelExports {
  readonly variant: Variant;
  readonly memory: WebAssembly.Memory;
  readonly limit: MemoryLimit;
  /** That share the parts of a run. */
  threads: number;
}

const PAGE_BYTES = 65536;
/** As wasm/kernels/build.mjs has it for the module. */
const INITIAL_PAGES = 256;

const compiled = new Map<Variant, Promise<WebAssembly.Module>>();

/** A variant, which is loaded and compiled once. */
export function compileKernels(variant: Variant): Promise<WebAssembly.Module> {
  let module = compiled.get(variant);
  if (!module) {
    module = variant.load().then((code) => {
      if (code instanceof WebAssembly.Module) return code;
      return compileWasm(variant.threads ? code : forOneThread(code));
    });
    compiled.set(variant, module);
    // What went wrong may go well the next time, as loading a chunk over a network.
    module.catch(() => compiled.delete(variant));
  }
  return module;
}

function newMemory({ mostBytes, threads }: Variant, limit: MemoryLimit): WebAssembly.Memory {
  const maximum = Math.max(INITIAL_PAGES, Math.ceil(limit.bytes / PAGE_BYTES));
  const sizes =
    mostBytes > 2 ** 32
      ? { address: "i64", initial: BigInt(INITIAL_PAGES), maximum: BigInt(maximum) }
      : { initial: INITIAL_PAGES, maximum };
  try {
    return new WebAssembly.Memory({ ...(sizes as { initial: number; maximum: number }), shared: threads });
  } catch (cause) {
    throw new GlimtError(
      "OUT_OF_MEMORY",
      threads
        ? `There is no address space for memory that threads share (${inUnits(limit.bytes)}); give a smaller maxMemory, or pass 1 for threads.`
        : `There is no address space for a memory that may grow to ${inUnits(limit.bytes)}; give a smaller maxMemory.`,
      { cause },
    );
  }
}

/**
 * A fresh instance with a memory of its own.
 *
 * @param maxMemory Bytes that its memory may grow to. @throws OUT_OF_MEMORY, BACKEND_UNAVAILABLE
 */
export async function instantiateKernels(variant: Variant, maxMemory?: number): Promise<Kernels> {
  const limit = memoryLimit(variant, maxMemory);
  const memory = newMemory(variant, limit);
  const module = await compileKernels(variant);
  const { exports } = await WebAssembly.instantiate(module, { env: { memory } });
  const kernels = { ...exports, memory, variant, limit, threads: 1 } as unknown as Kernels;
  kernels._initialize();
  kernels.glimt_limit_memory(limit.bytes);
  return kernels;
}
