/** The kernel interface: whatever can run a program. Everything above it is one code for all backends. */

import type { NodeQuery } from "../graph/node-query.ts";
import type { WeightSpec } from "../graph/weight-spec.ts";
import type { VerifiedProgram } from "../program/verify-program.ts";
import type { ChooseLayout } from "../program/weights.ts";
import type { SymbolValues } from "../tensor/dims.ts";
import type { DType, HostArray, TensorDType } from "../tensor/dtype.ts";
import type { WeightFormat, WeightLayout } from "../tensor/storage.ts";
import type { Communicator } from "./communicator.ts";

export const WASM_VARIANTS = ["relaxed", "simd", "relaxed64"] as const;
/**
 * What the WebAssembly module is built on: relaxed SIMD, that with 64-bit memory, or the SIMD128 that every host has.
 *
 * @useDeclaredType
 */
export type WasmVariant = (typeof WASM_VARIANTS)[number];

/** What runs programs: slow and obvious TypeScript, WebAssembly on the CPU, or CUDA. */
export type BackendName = "reference" | "wasm" | "cuda";

export type Answer = { readonly ok: true } | { readonly ok: false; readonly reason: string };

/** What programs run on, or would run on. */
export interface EngineReport {
  /** One line for people: "WebAssembly relaxed SIMD, 2 threads", a GPU's name. */
  readonly description: string;
  /** Why it is no better one where more is usual: a line each. */
  readonly limits: readonly string[];
  /** Of the WebAssembly backend: which module, and the threads that share a run. */
  readonly variant?: WasmVariant;
  /** Threads that share a run, of the WebAssembly backend. */
  readonly threads?: number;
}

/** Whether a backend can run here: what it would run on, or why not. */
export type Probe =
  | ({
      /** It can. */
      readonly ok: true;
    } & EngineReport)
  | {
      /** It can not. */
      readonly ok: false;
      /** Why not, and what to do about it. */
      readonly reason: string;
      /** Nothing here is meant for it, neither a device nor software: not to be mentioned to who did not ask for it. */
      readonly isAbsent?: boolean;
    };

export interface EngineOptions {
  /** Threads of the WebAssembly backend; default: one a core, at most 8, in browsers at most 4. */
  readonly threads?: number;
  /** The one variant of the WebAssembly backend's module to run; default: the best that the host runs. */
  readonly wasmVariant?: WasmVariant;
  /** Most bytes that the WebAssembly backend may hold, its own tables and staging included. */
  readonly maxMemory?: number;
  /**
   * Whether a row of a result must have the same bits whatever rows a run has beside it, and however many (default: no). Rows
   * of the reference and of WebAssembly always do.
   */
  readonly batchInvariant?: boolean;
  /** What it will be asked to hold: a backend whose memory comes in sizes takes one with room for it. */
  readonly demand?: MemoryDemand;
  /** Where a copy of the package's worker lies, for backends that start some. */
  readonly workerUrl?: string | URL;
  /** What it will be asked to load, as far as that is known: a group of devices puts tensors where programs need them. */
  readonly programs?: readonly VerifiedProgram[];
  /** The engine's place among others that it works with. */
  readonly group?: GroupPlace;
}

/** The place of an engine in a group of devices, each of which runs its part of a program. */
export interface GroupPlace {
  /** 0..ranks - 1: stage * tensor + place in the tensor group; behind those of all stages the ones that encode. */
  readonly rank: number;
  readonly ranks: number;
  /** How many of them encode, and meet no other in a program; default 0. */
  readonly encoders?: number;
  /** Neighbouring ranks that share each layer. */
  readonly tensor: number;
  /** Which device of the machine it is. */
  readonly device: number;
  /** What `Backend.newGroup` gave for those of the ranks that do not encode. */
  readonly id?: Uint8Array;
  /** Milliseconds without progress of any rank, after which the group has failed. */
  readonly deadlineMs: number;
}

/** Bytes that an engine will be asked for. */
export interface MemoryDemand {
  /** Of weights and what is taken with them. */
  readonly loaded: number;
  /** Of what a request of usual size takes beside them. */
  readonly request: number;
  /** Of the smallest request: one token, which gives another. */
  readonly least: number;
}

/** Whether a backend can run here. */
export interface BackendProbe {
  /** Which it is. */
  readonly name: BackendName;
  /**
   * Asks the machine, for the first time; never throws.
   *
   * @param devices that will be opened, as the backend numbers them: the first is asked; default: the backend's own
   */
  probe(devices?: readonly number[]): Promise<Probe>;
}

/** Never throws on import; asks nothing of the machine before `probe` or `open`. */
export interface Backend extends BackendProbe {
  /** Type of activations it computes in when nothing else is asked. */
  readonly activationDType: DType;
  /** Prompt tokens that it reads in one go when nothing else is asked: enough to keep it busy. */
  readonly prefillChunk: number;
  /** Whether a run of the same program, sizes and tensors as one before costs the host less. */
  readonly replaysRuns?: boolean;
  /** Whether its engines can tell what each instruction of a run took (`RunOptions.onInstruction`). */
  readonly timesInstructions?: boolean;
  /**
   * Activations meet weights in blocks as they are, and a weight is its integer times its scale. Otherwise activations
   * are rounded to blocks of 8 bits first (reference/block-product.ts).
   */
  readonly weightOnly?: boolean;
  /** Whether it can run a node. @throws BACKEND_UNAVAILABLE where the answer is not known before `probe`. */
  supports(query: NodeQuery): Answer;
  /** The layout that its kernels read a weight in: what programs for it are compiled with. */
  readonly weightLayout: ChooseLayout;
  /**
   * There where engines reach one another by themselves: the name of a new group, which each of its engines is opened
   * with, all at a time. Elsewhere they do by `RunOptions.communicator`. @throws BACKEND_UNAVAILABLE
   */
  newGroup?(): Promise<Uint8Array>;
  /**
   * @throws BACKEND_UNAVAILABLE with the probe's reason; OPTION_INVALID for threads or a variant that can not be;
   * OUT_OF_MEMORY when what it will be asked to hold is more than it can have.
   */
  open(options?: EngineOptions): Promise<Engine>;
}

/** What programs are compiled for: nothing of it needs an open engine. */
export type CompileTarget = Pick<Backend, "activationDType" | "supports" | "weightLayout">;

/** Memory on a device: a matrix [rows, cols], row by row, whose elements can be reached. */
export interface DeviceTensor {
  readonly dtype: TensorDType;
  readonly rows: number;
  readonly cols: number;
  readonly bytes: number;
}

/** A weight on a device: a matrix [rows, cols] as kernels read it. Programs are loaded with it. */
export interface DeviceWeight {
  readonly format: WeightFormat;
  readonly layout: WeightLayout;
  readonly rows: number;
  readonly cols: number;
  readonly bytes: number;
}

/** Part of a device tensor, by rows. */
export interface DeviceRows {
  readonly tensor: DeviceTensor;
  readonly firstRow: number;
  readonly rows: number;
}

export type Binding = HostArray | DeviceTensor | DeviceRows;

/** What an executable stays bound to from run to run, by name: states, inputs and outputs that change seldom. */
export type Residents = Readonly<Record<string, DeviceTensor | DeviceRows>>;

/**
 * Hands out a weight's rows, row-major, as often as asked: in the checkpoint's dtype, or in f32 where it has several or
 * is changed.
 */
export interface WeightRows {
  readonly spec: WeightSpec;
  readonly dtype: WeightFormat;
  readonly rows: number;
  readonly cols: number;
  /** Reads `count` rows from `first` into `into`, which has the bytes of so many. @throws ABORTED */
  readRows(first: number, count: number, into: Uint8Array, signal?: AbortSignal): Promise<void>;
  /** The first of its tensors with a value that is NaN or infinite; null where all are numbers. Reads them all. */
  findNotFinite?(signal?: AbortSignal): Promise<{ readonly tensor: string; readonly file: string } | null>;
}

export interface RunOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called now and then with the share of the program that is done, 0..1. */
  readonly onProgress?: ((share: number) => void) | undefined;
  /**
   * Called after each instruction of the program, by its index, with the milliseconds that it took. The engine then runs
   * them one by one, which takes longer. Only of backends with `timesInstructions`; others do not call it.
   */
  readonly onInstruction?: ((instruction: number, milliseconds: number) => void) | undefined;
  /** How collectives of the program reach the other ranks of a group; one for each rank and run. */
  readonly communicator?: Communicator | undefined;
}

/** Work of one kind alone, as fast as the device can: what speeds are given as shares of. */
export interface CeilingLoop {
  /**
   * multiplyAdd: float32 multiply-adds in registers. q4Product, q8Product: what products with such weights are made of
   * (integer products of 32 columns, summed and scaled), as this host has to do it, with operands in its nearest cache.
   * read: memory that no cache holds, once.
   */
  readonly name: "multiplyAdd" | "q4Product" | "q8Product" | "read";
  /** Runs for some milliseconds, on all threads of the engine. @returns operations done (two a product), or bytes read */
  run(): Promise<number>;
}

export interface RunBindings {
  readonly symbols: SymbolValues;
  /**
   * Inputs, states and outputs by name, in place of what the executable is bound to. Host arrays serve as inputs, and
   * as outputs that are filled once the run has ended well, which spares a `read`; elements past the output's stay as
   * they are. For a bf16 or f16 input a Float32Array serves too: the engine rounds it (nearest, ties to even) while it
   * takes it in.
   */
  readonly buffers: Readonly<Record<string, Binding>>;
}

/** A program ready to run, with its weights bound. Freed when nobody holds it any more, or with its engine. */
export interface Executable {
  readonly program: VerifiedProgram;
}

/** The ranks of a group, each of which runs a program by itself. */
export interface SideBySide {
  /** The ranks that have all of the program each; none of one that was partitioned. */
  ranksOf(executable: Executable): readonly number[];
  /** Whether these ranks run nothing but such programs: tensors of others are on other ranks. */
  isApart(executable: Executable): boolean;
  /**
   * Whether a run of a program that is apart may be under way beside those of others. It may not where processes make the same
   * calls in one order.
   */
  readonly runsBeside: boolean;
  /**
   * Ranks run the program with bindings of their own. A tensor that is bound to an output then holds on each rank what
   * that one wrote. @throws as `Engine.run`; what was written is open then
   */
  run(
    executable: Executable,
    bindings: ReadonlyMap<number, RunBindings>,
    options?: RunOptions,
  ): Promise<void>;
  /** Copies rows as one rank has them to the rows of `to` from `firstRow` on, on every rank. */
  spread(to: DeviceTensor, firstRow: number, from: DeviceRows, rank: number): Promise<void>;
}

/**
 * One opened backend, or a group of them (group/): it owns device memory and frees all of it in `dispose`. Calls must not
 * overlap.
 */
export interface Engine {
  readonly backend: Backend;
  /** What it runs on now. */
  readonly report: EngineReport;
  /** Bytes of weights and tensors held now; 0 after dispose. The arena of runs is counted too while held. */
  readonly liveBytes: number;
  /** Bytes the device could still give, whoever asks for them; absent where that can not be told. */
  readonly freeBytes?: number | undefined;
  /**
   * Of a group with stages: how many runs may be under way at a time, each behind the others. Absent: calls of `run` must
   * not overlap either.
   */
  readonly overlappingRuns?: number | undefined;
  /** Of a group: programs that its ranks have all of run on inputs of each rank's own. */
  readonly sideBySide?: SideBySide | undefined;
  /**
   * A zeroed tensor.
   *
   * @param name of the buffer that it will be bound to, where there is one: a group of devices has it only where that is,
   * and as wide. @throws OUT_OF_MEMORY
   */
  allocate(dtype: TensorDType, rows: number, cols: number, name?: string): DeviceTensor;
  free(memory: DeviceTensor | DeviceWeight): void;
  /**
   * @param data elements of the tensor's dtype, of q8 their bytes; or float32 for bf16 and f16, which are rounded.
   * @throws INPUT_INVALID
   */
  write(tensor: DeviceTensor, firstRow: number, data: HostArray): void;
  /** A copy of rows [firstRow, firstRow + rows). */
  read(tensor: DeviceTensor, firstRow?: number, rows?: number): Promise<HostArray>;
  /**
   * Copies `from` to the rows of `to` from `firstRow` on, on the device. Both have one dtype and as many columns; they
   * must not overlap. @throws INPUT_INVALID
   */
  copy(to: DeviceTensor, firstRow: number, from: DeviceRows): void;
  /**
   * Stores a weight as `source.spec.dtype` in the layout that programs read it in.
   * @throws OUT_OF_MEMORY; INPUT_INVALID for a layout that the engine lacks.
   */
  uploadWeight(source: WeightRows, layout: WeightLayout): Promise<DeviceWeight>;
  /** @throws PROGRAM_INVALID when a weight is missing or of another shape or layout, BACKEND_UNAVAILABLE for an op it lacks. */
  load(program: VerifiedProgram, weights: ReadonlyMap<string, DeviceWeight>): Executable;
  /**
   * What later runs start from, in place of what was bound before; a run's own bindings override it by name. The
   * tensors must be alive in the runs that use them: DISPOSED otherwise.
   *
   * @throws INPUT_INVALID naming a buffer that does not exist, or is of another dtype or width; DISPOSED; the former
   * ones stay bound then.
   */
  bind(executable: Executable, resident: Residents): void;
  /**
   * Runs the whole program; outputs land in the tensors bound to them. Yields to the event loop now and then.
   * @throws INPUT_INVALID naming a buffer that is missing or too small; ABORTED; the engine stays usable.
   */
  run(executable: Executable, bindings: RunBindings, options?: RunOptions): Promise<void>;
  /** Loops that show what the device can do; absent where there are none. @throws OUT_OF_MEMORY when one is run */
  ceilingLoops?(): readonly CeilingLoop[];
  /**
   * Takes the memory that a run of these sizes needs beside its tensors, so that want of it is known before anything is
   * computed. An engine without this takes it when a run begins.
   *
   * @param onDevice inputs and outputs that the run will bind to tensors, beside those the executable is bound to.
   * @throws OUT_OF_MEMORY; INPUT_INVALID for sizes that can not be
   */
  reserve?(executable: Executable, symbols: SymbolValues, onDevice: readonly string[]): void;
  /** Gives back what is kept from run to run; the next run takes it again. */
  trim?(): void;
  dispose(): void;
}
