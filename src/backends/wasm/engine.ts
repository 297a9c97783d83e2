/** The WebAssembly engine: one instance of the kernel module, its memory, and the loop that runs programs in slices. */

import { GlimtError, throwIfAborted } from "../../errors.ts";
import { nextTask, TURN_MS, turnWhenDue } from "../../event-loop.ts";
import type { VerifiedProgram } from "../../program/verify-program.ts";
import type { SymbolValues } from "../../tensor/dims.ts";
import { type HostArray, hostLength, type TensorDType } from "../../tensor/dtype.ts";
import type { WeightLayout } from "../../tensor/storage.ts";
import type {
  Backend,
  CeilingLoop,
  DeviceRows,
  DeviceTensor,
  DeviceWeight,
  Engine,
  EngineReport,
  Executable,
  Residents,
  RunBindings,
  RunOptions,
  WeightRows,
} from "../backend.ts";
import { checkCopy } from "../check-copy.ts";
import { checkSupport } from "../check-support.ts";
import { asStored, isStorable } from "../host-arrays.ts";
import { checkWeightLayouts, requireLayout } from "../weight-layouts.ts";
import { wasmCeilingLoops } from "./ceilings.ts";
import type { CrewPass } from "./crew.ts";
import { WasmExecutable } from "./executable.ts";
import type { Kernels } from "./kernels.ts";
import { type Block, WasmMemory, type WasmTensor, type WasmWeight } from "./memory.ts";
import { SliceBudget } from "./slices.ts";
import { uploadWeight } from "./upload.ts";
import type { Variant } from "./variants.ts";

/** The arena grows in steps of this, so that a context that grows token by token does not move it each time. */
const ARENA_STEP = 1 << 20;

/** A run that takes less is over before another thread has heard of it. */
const SHORT_MS = 0.5;
/** As kernels count them, in about that time. */
const SHORT_OPERATIONS = 2e7;

/** What goes away with `dispose`. */
interface Live {
  readonly kernels: Kernels;
  readonly memory: WasmMemory;
  /** Temporaries, workspace and host arrays of a run; kept between runs. */
  arena: Block | null;
}

export interface WasmEngineParts {
  /** See EngineReport. */
  readonly limits?: readonly string[];
  /** When something was allocated in it before. */
  readonly memory?: WasmMemory;
  /** The threads that run programs, once they are there. Until then, and where they can not be had, the caller's does. */
  readonly crew?: Promise<CrewPass> | undefined;
}

export class WasmEngine implements Engine {
  readonly backend: Backend;
  readonly #budget = new SliceBudget();
  #live: Live | null;
  readonly #variant: Variant;
  #threads: number;
  #limits: readonly string[];
  #crew: CrewPass | undefined;
  #running = false;

  constructor(backend: Backend, kernels: Kernels, { limits = [], memory, crew }: WasmEngineParts = {}) {
    this.backend = backend;
    this.#variant = kernels.variant;
    this.#threads = kernels.threads;
    this.#limits = limits;
    this.#live = { kernels, memory: memory ?? new WasmMemory(kernels), arena: null };
    crew?.then(
      (pass) => {
        this.#crew = pass;
        if (!this.#live) pass.leave();
      },
      ({ message }: Error) => {
        kernels.threads = 1;
        this.#threads = 1;
        this.#limits = [...limits, `One thread, since no other could be had: ${message}`];
      },
    );
  }

  get report(): EngineReport {
    return reportOf(this.#variant, this.#threads, this.#limits);
  }

  get liveBytes(): number {
    return this.#live?.memory.liveBytes ?? 0;
  }

  /** Known where the caller said what there is: how much the system would give can not be told. */
  get freeBytes(): number | undefined {
    const { kernels } = this.#alive();
    return kernels.limit.isAsked ? kernels.glimt_available_bytes() : undefined;
  }

  allocate(dtype: TensorDType, rows: number, cols: number): WasmTensor {
    const { memory } = this.#alive();
    const tensor = memory.allocate(dtype, rows, cols);
    memory.bytes(tensor).fill(0);
    return tensor;
  }

  free(memory: DeviceTensor | DeviceWeight): void {
    this.#alive().memory.free(memory);
  }

  write(tensor: DeviceTensor, firstRow: number, data: HostArray): void {
    const { memory } = this.#alive();
    const owned = memory.owned(tensor);
    const { dtype, rows, cols } = owned;
    const all = memory.elements(dtype, owned, 0, rows * cols);
    const start = hostLength(dtype, firstRow * cols);
    const fits = firstRow >= 0 && start + data.length <= all.length;
    if (!isStorable(dtype, data) || !fits) {
      throw new GlimtError(
        "INPUT_INVALID",
        `write: a ${data.constructor.name} of ${data.length} elements from row ${firstRow} does not fit ${dtype}[${rows}, ${cols}].`,
      );
    }
    all.set(asStored(dtype, data), start);
  }

  async read(tensor: DeviceTensor, firstRow = 0, rows = tensor.rows - firstRow): Promise<HostArray> {
    const { memory } = this.#alive();
    const owned = memory.owned(tensor);
    if (firstRow < 0 || rows < 0 || firstRow + rows > owned.rows) {
      throw new GlimtError(
        "INPUT_INVALID",
        `read: rows ${firstRow}..${firstRow + rows} are outside a tensor of ${owned.rows} rows.`,
      );
    }
    return memory.elements(owned.dtype, owned, firstRow * owned.cols, rows * owned.cols).slice();
  }

  copy(to: DeviceTensor, firstRow: number, from: DeviceRows): void {
    const { memory } = this.#alive();
    const target = memory.owned(to);
    const source = memory.owned(from.tensor);
    checkCopy(target, firstRow, from);
    const { dtype, cols } = target;
    const elements = memory.elements(dtype, source, from.firstRow * cols, from.rows * cols);
    memory.elements(dtype, target, firstRow * cols, from.rows * cols).set(elements);
  }

  async uploadWeight(source: WeightRows, layout: WeightLayout): Promise<WasmWeight> {
    requireLayout(this.backend, layout, "plain", "tiles8");
    await turnWhenDue();
    const { kernels, memory } = this.#alive();
    const weight = await uploadWeight(kernels, memory, source, layout);
    this.#alive();
    return weight;
  }

  load(program: VerifiedProgram, weights: ReadonlyMap<string, DeviceWeight>): Executable {
    const { kernels, memory } = this.#alive();
    checkSupport(program, this.backend);
    checkWeightLayouts(this.backend, program);
    return new WasmExecutable(program, weights, kernels, memory);
  }

  bind(executable: Executable, resident: Residents): void {
    ownExecutable(this.#alive(), executable).bind(resident);
  }

  async run(loaded: Executable, bindings: RunBindings, options: RunOptions = {}): Promise<void> {
    const { signal, onProgress, onInstruction } = options;
    const live = this.#idle();
    const executable = ownExecutable(live, loaded);
    throwIfAborted(signal);
    this.#running = true;
    try {
      // Runs of a small model end within their first slice: a loop of them must leave the thread too.
      await turnWhenDue(signal);
      this.#alive();
      this.#crew?.throwIfLost();
      const { symbols } = bindings;
      const { arrays, end } = executable.bindBuffers(bindings, executable.plan(symbols));
      const arena = arenaOf(live, end);
      executable.start(arena, arrays, symbols);
      if (onInstruction) await this.#runTimed(executable, symbols, { ...options, onInstruction });
      while (!(await this.#runTurn(executable, symbols, options))) {
        throwIfAborted(signal);
        this.#alive();
      }
      executable.finish(arena, arrays);
      onProgress?.(1);
    } finally {
      this.#running = false;
    }
  }

  ceilingLoops(): readonly CeilingLoop[] {
    const { kernels, memory } = this.#alive();
    return wasmCeilingLoops(kernels, memory, () => this.#crew);
  }

  reserve(loaded: Executable, symbols: SymbolValues, onDevice: readonly string[]): void {
    const live = this.#idle();
    arenaOf(live, ownExecutable(live, loaded).arenaBytes(symbols, onDevice));
  }

  trim(): void {
    const live = this.#idle();
    if (live.arena) live.memory.freeBlock(live.arena);
    live.arena = null;
  }

  /** Drops the module's memory as a whole. */
  dispose(): void {
    if (this.#live && this.#crew) {
      this.#live.kernels.glimt_stop(1);
      this.#crew.leave();
    }
    this.#live = null;
  }

  /** True when the program has ended. */
  async #runTurn(executable: WasmExecutable, symbols: SymbolValues, options: RunOptions): Promise<boolean> {
    if (executable.isBeforeCollective) {
      await executable.runCollective(symbols, options.communicator);
      await turnWhenDue(options.signal);
      return false;
    }
    if (this.#crew) {
      // Telling others takes longer than a short run.
      if (executable.isShort && executable.runSlice(SHORT_OPERATIONS, symbols)) return true;
      if (executable.isBeforeCollective) return false;
      const { done, milliseconds } = await this.#runTogether(this.#crew, executable, symbols, options);
      executable.isShort = (done || executable.isBeforeCollective) && milliseconds < SHORT_MS;
      return done;
    }
    const began = performance.now();
    if (executable.runSlice(this.#budget.operations, symbols)) return true;
    if (executable.isBeforeCollective) return false;
    this.#budget.learn(performance.now() - began);
    options.onProgress?.(executable.share);
    await nextTask();
    return false;
  }

  /** Up to the instruction `end`. */
  async #runTogether(
    crew: CrewPass,
    executable: WasmExecutable,
    symbols: SymbolValues,
    { signal, onProgress }: RunOptions,
    end?: number,
  ) {
    const { kernels } = this.#alive();
    let failure: { readonly error: unknown } | undefined;
    const stop = () => kernels.glimt_stop(1);
    const report = () => {
      try {
        onProgress?.(executable.share);
      } catch (error) {
        failure ??= { error };
        stop();
      }
    };
    const timer = onProgress && setInterval(report, TURN_MS);
    signal?.addEventListener("abort", stop);
    try {
      const isWanted = () => !failure && !signal?.aborted && this.#live !== null;
      const found = await executable.runTogether(crew, symbols, isWanted, end);
      if (failure) throw failure.error;
      return found;
    } finally {
      clearInterval(timer);
      signal?.removeEventListener("abort", stop);
    }
  }

  /** The whole program, an instruction after the other. */
  async #runTimed(
    executable: WasmExecutable,
    symbols: SymbolValues,
    {
      signal,
      onProgress,
      onInstruction,
      communicator,
    }: RunOptions & Required<Pick<RunOptions, "onInstruction">>,
  ): Promise<void> {
    for (let index = 0; index < executable.program.instructions.length; index++) {
      let milliseconds = 0;
      while (executable.position === index) {
        this.#alive();
        if (executable.isBeforeCollective) await executable.runCollective(symbols, communicator);
        else milliseconds += await this.#runPiece(executable, symbols, { signal }, index + 1);
        await turnWhenDue(signal);
      }
      this.#alive();
      onInstruction?.(index, milliseconds);
      onProgress?.(executable.share);
    }
  }

  /** Some of what lies before the instruction `end`. @returns the milliseconds that it took */
  async #runPiece(
    executable: WasmExecutable,
    symbols: SymbolValues,
    options: RunOptions,
    end: number,
  ): Promise<number> {
    if (this.#crew)
      return (await this.#runTogether(this.#crew, executable, symbols, options, end)).milliseconds;
    const began = performance.now();
    executable.runSlice(this.#budget.operations, symbols, end);
    return performance.now() - began;
  }

  /** Not running. */
  #idle(): Live {
    const live = this.#alive();
    if (this.#running) throw new GlimtError("INPUT_INVALID", "The engine is running a program already.");
    return live;
  }

  #alive(): Live {
    if (!this.#live) throw new GlimtError("DISPOSED", "The engine was disposed of.");
    return this.#live;
  }
}

export function reportOf(
  { kind, description }: Variant,
  threads: number,
  limits: readonly string[],
): EngineReport {
  return {
    description: `WebAssembly ${description}, ${threads} ${threads === 1 ? "thread" : "threads"}`,
    limits,
    variant: kind,
    threads,
  };
}

function ownExecutable({ memory }: Live, executable: Executable): WasmExecutable {
  if (executable instanceof WasmExecutable && executable.belongsTo(memory)) return executable;
  throw new GlimtError("PROGRAM_INVALID", "The program was loaded by another engine.");
}

/** An arena of at least `bytes`. */
function arenaOf(live: Live, bytes: number): Block {
  if (live.arena && live.arena.bytes >= bytes) return live.arena;
  if (live.arena) live.memory.freeBlock(live.arena);
  live.arena = null;
  const rounded = Math.ceil(bytes / ARENA_STEP) * ARENA_STEP;
  live.arena = live.memory.allocateBlock(rounded, "temporaries of a run");
  return live.arena;
}
