/** The CUDA engine: programs, tensors and weights through the native addon, which works on a thread of its own. */

import { GlimtError, throwIfAborted } from "../../errors.ts";
import { encodeProgram } from "../../program/encoding.ts";
import type { VerifiedProgram } from "../../program/verify-program.ts";
import type { SymbolValues } from "../../tensor/dims.ts";
import { type DType, type HostArray, hostArray } from "../../tensor/dtype.ts";
import { formatCode, type StorageFormat, type WeightLayout } from "../../tensor/storage.ts";
import type {
  Backend,
  Binding,
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
import { bindWeights } from "../bind-weights.ts";
import { checkSupport } from "../check-support.ts";
import { isStorable } from "../host-arrays.ts";
import { checkWeightLayouts, requireLayout } from "../weight-layouts.ts";
import type {
  CudaAddon,
  DeviceMemory,
  EngineHandle,
  ExecutableHandle,
  NativeBinding,
  RunStatistics,
  TensorHandle,
} from "./addon.ts";
import { native, nativeLater } from "./errors.ts";
import { CudaTensor, CudaWeight, ownedMemory, ownedTensor } from "./tensor.ts";
import { fillWeight } from "./upload.ts";
import { cudaWeightLayout } from "./weight-layout.ts";

const PROGRESS_INTERVAL_MS = 50;
/** Flag of the addon's run: what ran before with the same symbols and device rows is replayed as a captured graph. */
const REPLAY_REPEATS = 1;
/** Of an executable, whose memory is known to be there. */
const MOST_RESERVED = 256;

export interface CudaEngineOptions {
  /** Whether runs that repeat are replayed as captured graphs. */
  readonly graphs: boolean;
  readonly report: EngineReport;
  /** Whether it is one of a group, whose other engines its runs may wait for. */
  readonly inGroup: boolean;
}

class CudaExecutable implements Executable {
  readonly program: VerifiedProgram;
  readonly handle: ExecutableHandle;
  readonly engine: CudaEngine;
  /** Sizes of runs whose memory was taken, of which the addon is not asked again: it would wait for a run under way. */
  readonly reserved = new Set<string>();
  /** The engine's memory that `reserved` is about. */
  arena = 0;

  constructor(program: VerifiedProgram, handle: ExecutableHandle, engine: CudaEngine) {
    this.program = program;
    this.handle = handle;
    this.engine = engine;
  }
}

export class CudaEngine implements Engine {
  readonly backend: Backend;
  readonly report: EngineReport;
  readonly #addon: CudaAddon;
  readonly #options: CudaEngineOptions;
  #handle: EngineHandle | null;
  #running = false;
  /** Counts what may have given memory of runs back. */
  #arena = 0;

  /** `handle` comes from the addon's openEngine. */
  constructor(backend: Backend, addon: CudaAddon, handle: EngineHandle, options: CudaEngineOptions) {
    this.backend = backend;
    this.report = options.report;
    this.#options = options;
    this.#addon = addon;
    this.#handle = handle;
  }

  /** Any number, one behind the other. */
  get overlappingRuns(): number | undefined {
    return this.#options.inGroup ? Number.POSITIVE_INFINITY : undefined;
  }

  get liveBytes(): number {
    return this.#handle ? this.#addon.liveBytes(this.#handle) : 0;
  }

  get freeBytes(): number {
    return this.memory.freeBytes;
  }

  /** Held by this engine, and free on its device. */
  get memory(): DeviceMemory {
    return native(() => this.#addon.memory(this.#alive()));
  }

  /** What computes large matrix products, known after the first of them. */
  get library(): string {
    return native(() => this.#addon.library(this.#alive()));
  }

  get statistics(): RunStatistics {
    return native(() => this.#addon.statistics(this.#alive()));
  }

  allocate(dtype: DType, rows: number, cols: number): CudaTensor {
    const engine = this.#alive();
    return new CudaTensor(dtype, rows, cols, this.#allocate(engine, dtype, rows, cols), engine);
  }

  free(memory: DeviceTensor | DeviceWeight): void {
    const owned = ownedMemory(memory, this.#alive());
    native(() => this.#addon.free(owned.handle));
    owned.markFreed();
  }

  write(tensor: DeviceTensor, firstRow: number, data: HostArray): void {
    const { dtype, rows, cols, handle } = ownedTensor(tensor, this.#alive());
    const count = cols === 0 ? 0 : data.length / cols;
    const fits = Number.isInteger(count) && firstRow >= 0 && firstRow + count <= rows;
    if (!isStorable(dtype, data) || !fits) {
      throw new GlimtError(
        "INPUT_INVALID",
        `write: a ${data.constructor.name} of ${data.length} elements from row ${firstRow} does not fit ${dtype}[${rows}, ${cols}].`,
      );
    }
    const source = formatCode(data instanceof Float32Array ? "f32" : dtype);
    native(() => this.#addon.write(handle, firstRow, count, source, data));
  }

  async read(tensor: DeviceTensor, firstRow = 0, rows = tensor.rows - firstRow): Promise<HostArray> {
    const owned = ownedTensor(tensor, this.#alive());
    if (firstRow < 0 || rows < 0 || firstRow + rows > owned.rows) {
      throw new GlimtError(
        "INPUT_INVALID",
        `read: rows ${firstRow}..${firstRow + rows} are outside a tensor of ${owned.rows} rows.`,
      );
    }
    const data = hostArray(owned.dtype, rows * owned.cols);
    await nativeLater(() => this.#addon.read(owned.handle, firstRow, rows, data));
    return data;
  }

  copy(to: DeviceTensor, firstRow: number, from: DeviceRows): void {
    const engine = this.#alive();
    const target = ownedTensor(to, engine);
    const source = ownedTensor(from.tensor, engine);
    native(() => this.#addon.copy(target.handle, firstRow, source.handle, from.firstRow, from.rows));
  }

  async uploadWeight(source: WeightRows, layout: WeightLayout): Promise<CudaWeight> {
    const engine = this.#alive();
    const { spec, rows, cols } = source;
    requireLayout(this.backend, layout, cudaWeightLayout(spec.dtype, new Set()));
    const handle = this.#allocate(engine, spec.dtype, rows, cols);
    const weight = new CudaWeight(spec.dtype, layout, rows, cols, handle, engine);
    try {
      await fillWeight(this.#addon, source, weight);
      this.#alive();
      return weight;
    } catch (error) {
      if (this.#handle) this.free(weight);
      throw error;
    }
  }

  load(program: VerifiedProgram, weights: ReadonlyMap<string, DeviceWeight>): Executable {
    const engine = this.#alive();
    checkSupport(program, this.backend);
    checkWeightLayouts(this.backend, program);
    const bound = bindWeights(program, weights).flatMap((weight, index) =>
      weight ? [[program.buffers[index]?.name ?? "", ownedMemory(weight, engine).handle] as const] : [],
    );
    const handle = native(() => this.#addon.load(engine, encodeProgram(program), bound));
    return new CudaExecutable(program, handle, this);
  }

  bind(executable: Executable, resident: Residents): void {
    const engine = this.#alive();
    const own = this.#own(executable);
    const { handle } = own;
    const bindings = Object.entries(resident).map(([name, binding]) => nativeBinding(name, binding, engine));
    native(() => this.#addon.bind(handle, bindings));
    own.reserved.clear();
  }

  /** In a group runs queue, and go to their end once they are asked for: the other ranks would wait for the rest. */
  async run(
    executable: Executable,
    { symbols, buffers }: RunBindings,
    { signal, onProgress }: RunOptions = {},
  ): Promise<void> {
    const engine = this.#alive();
    const { handle } = this.#own(executable);
    const { inGroup, graphs } = this.#options;
    if (!inGroup) {
      if (this.#running) throw new GlimtError("INPUT_INVALID", "The engine is running a program already.");
      throwIfAborted(signal);
    }
    const values = Object.entries(symbols);
    const bindings = Object.entries(buffers).map(([name, binding]) => nativeBinding(name, binding, engine));
    const flags = graphs ? REPLAY_REPEATS : 0;

    const abort = () => {
      if (!inGroup) this.#addon.abort(engine);
    };
    signal?.addEventListener("abort", abort, { once: true });
    // In a timer nobody could catch what the caller's function throws.
    let refusal: { readonly error: unknown } | undefined;
    const report = () => {
      try {
        onProgress?.(this.#addon.progress(engine) / 1000);
      } catch (error) {
        refusal ??= { error };
        abort();
      }
    };
    const timer = onProgress ? setInterval(report, PROGRESS_INTERVAL_MS) : undefined;
    this.#running = true;
    try {
      await nativeLater(() => this.#addon.run(handle, values, bindings, flags));
      if (refusal) throw refusal.error;
      if (inGroup) throwIfAborted(signal);
      onProgress?.(1);
    } catch (error) {
      this.#arena++;
      if (refusal) throw refusal.error;
      if (!inGroup) throwIfAborted(signal);
      throw error;
    } finally {
      this.#running = false;
      clearInterval(timer);
      signal?.removeEventListener("abort", abort);
    }
  }

  reserve(executable: Executable, symbols: SymbolValues, onDevice: readonly string[]): void {
    this.#alive();
    const own = this.#own(executable);
    if (own.arena !== this.#arena || own.reserved.size >= MOST_RESERVED) own.reserved.clear();
    own.arena = this.#arena;
    const sizes = Object.entries(symbols);
    const key = JSON.stringify([sizes, onDevice]);
    if (own.reserved.has(key)) return;
    try {
      native(() => this.#addon.reserve(own.handle, sizes, onDevice));
    } catch (error) {
      this.#arena++;
      throw error;
    }
    own.reserved.add(key);
  }

  trim(): void {
    this.#arena++;
    native(() => this.#addon.trim(this.#alive()));
  }

  /** A run under way ends with DISPOSED; its memory goes with it. */
  dispose(): void {
    if (this.#handle) this.#addon.closeEngine(this.#handle);
    this.#handle = null;
  }

  #allocate(engine: EngineHandle, format: StorageFormat, rows: number, cols: number): TensorHandle {
    return native(() => this.#addon.allocate(engine, formatCode(format), rows, cols));
  }

  #own(executable: Executable): CudaExecutable {
    if (executable instanceof CudaExecutable && executable.engine === this) return executable;
    throw new GlimtError("PROGRAM_INVALID", "The program was loaded by another engine.");
  }

  #alive(): EngineHandle {
    if (!this.#handle) throw new GlimtError("DISPOSED", "The engine was disposed of.");
    return this.#handle;
  }
}

/** @throws DISPOSED */
function nativeBinding(name: string, binding: Binding, engine: EngineHandle): NativeBinding {
  if (ArrayBuffer.isView(binding)) return [name, binding];
  const { tensor, firstRow, rows } =
    "tensor" in binding ? binding : { tensor: binding, firstRow: 0, rows: binding.rows };
  return [name, ownedTensor(tensor, engine).handle, firstRow, rows];
}
