/** The WebAssembly engine: one instance of the kernel module, its memory, and the loop that runs programs in slices. */

import { GlimtError, throwIfAborted } from "../../errors.ts";
import { nextTask, turnWhenDue } from "../../event-loop.ts";
import type { VerifiedProgram } from "../../program/verify-program.ts";
import type { DType, HostArray } from "../../tensor/dtype.ts";
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
import { checkWeightLayouts } from "../weight-layouts.ts";
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

/** What goes away with `dispose`. */
interface Live {
  readonly kernels: Kernels;
  readonly memory: WasmMemory;
  /** Temporaries, workspace and host arrays of a run; kept between runs. */
  arena: Block | null;
}

export class WasmEngine implements Engine {
  readonly backend: Backend;
  readonly #budget = new SliceBudget();
  #live: Live | null;
  readonly report: EngineReport;
  readonly #crew: CrewPass | undefined;
  #running = false;

  /**
   * @param limits see EngineReport
   * @param crew Threads that take part, where the kernels are for several.
   */
  constructor(backend: Backend, kernels: Kernels, limits: readonly string[] = [], crew?: CrewPass) {
    this.backend = backend;
    this.report = reportOf(kernels.variant, kernels.threads, limits);
    this.#crew = crew;
    this.#live = { kernels, memory: new WasmMemory(kernels), arena: null };
  }

  get liveBytes(): number {
    return this.#live?.memory.liveBytes ?? 0;
  }

  allocate(dtype: DType, rows: number, cols: number): WasmTensor {
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
    const fits = firstRow >= 0 && firstRow * cols + data.length <= all.length;
    if (!isStorable(dtype, data) || !fits) {
      throw new GlimtError(
        "INPUT_INVALID",
        `write: a ${data.constructor.name} of ${data.length} elements from row ${firstRow} does not fit ${dtype}[${rows}, ${cols}].`,
      );
    }
    all.set(asStored(dtype, data), firstRow * cols);
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
    const live = this.#alive();
    const executable = ownExecutable(live, loaded);
    if (this.#running) throw new GlimtError("INPUT_INVALID", "The engine is running a program already.");
    throwIfAborted(signal);
    this.#running = true;
    try {
      // Runs of a small model end within their first slice: a loop of them must leave the thread too.
      await turnWhenDue(signal);
      this.#alive();
      const { symbols } = bindings;
      const { arrays, end } = executable.bindBuffers(bindings, executable.plan(symbols));
      const arena = arenaOf(live, end);
      executable.start(arena, arrays, symbols);
      if (onInstruction) await this.#runTimed(executable, bindings, { ...options, onInstruction });
      while (!this.#runSlice(executable, bindings)) {
        onProgress?.(executable.share);
        await nextTask();
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
    return wasmCeilingLoops(kernels, memory, () => this.#crew?.begin());
  }

  /** Drops the module's memory as a whole. */
  dispose(): void {
    if (this.#live) this.#crew?.leave();
    this.#live = null;
  }

  #runSlice(executable: WasmExecutable, { symbols }: RunBindings): boolean {
    this.#crew?.begin();
    const began = performance.now();
    const done = executable.runSlice(this.#budget.operations, symbols);
    if (!done) this.#budget.learn(performance.now() - began);
    return done;
  }

  /** The whole program, an instruction after the other. */
  async #runTimed(
    executable: WasmExecutable,
    { symbols }: RunBindings,
    { signal, onProgress, onInstruction }: RunOptions & Required<Pick<RunOptions, "onInstruction">>,
  ): Promise<void> {
    for (let index = 0; index < executable.program.instructions.length; index++) {
      let milliseconds = 0;
      while (executable.position === index) {
        this.#alive();
        this.#crew?.begin();
        const began = performance.now();
        executable.runSlice(this.#budget.operations, symbols, index + 1);
        milliseconds += performance.now() - began;
        await turnWhenDue(signal);
      }
      this.#alive();
      onInstruction?.(index, milliseconds);
      onProgress?.(executable.share);
    }
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
