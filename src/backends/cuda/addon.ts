/**
 * The native addon (bindings/) as TypeScript sees it. SIGNATURES repeats what bindings/src/exports.cpp registers, the
 * function types derive from it, and the loader compares the two, so that they can not drift apart unnoticed.
 */
import { PROGRAM_VERSION } from "../../program/program.ts";
import type { HostArray } from "../../tensor/dtype.ts";

/** Arguments "->" result; "later" stands for a promise. The addon checks arguments against the same text. */
export const SIGNATURES = {
  /** (op, activation, format of each input, a byte each): why the op can not run so; empty when it can. */
  supports: "code code bytes -> text",
  /** (device). @throws BACKEND_UNAVAILABLE */
  probe: "code -> device",
  /** Writes the id of a new group. @throws BACKEND_UNAVAILABLE without NCCL */
  newGroup: "bytes -> none",
  /**
   * (device, whether cuBLASLt may be used, whether rows must not depend on those beside them, place in a group or null). In a
   * group it waits for the other ranks.
   * @throws GROUP_FAILED
   */
  openEngine: "code code code group -> later engine",
  /** Ends a run under way; frees everything. */
  closeEngine: "engine -> none",
  liveBytes: "engine -> size",
  memory: "engine -> memory",
  statistics: "engine -> statistics",
  /** What computes large products: cuBLASLt and its version, or why it is not used. */
  library: "engine -> text",
  /** Gives the arena and captured graphs back. */
  trim: "engine -> none",
  /** The run under way ends with ABORTED. */
  abort: "engine -> none",
  /** Share of the run under way, in 1/1000. */
  progress: "engine -> size",
  /** (engine, dtype, rows, cols) */
  allocate: "engine code size size -> tensor",
  free: "tensor -> none",
  /** (tensor, first row, rows, dtype of data, data): converts. */
  write: "tensor size size code bytes -> none",
  /** (tensor, first row, rows, dtype of data, data): converts; how many values are not finite as stored. */
  upload: "tensor size size code bytes -> later size",
  /** (tensor, first row, rows, where to) */
  read: "tensor size size bytes -> later none",
  /** (to, first row of it, from, first row of that, rows): on the device. */
  copy: "tensor size tensor size size -> none",
  load: "engine bytes weights -> executable",
  /** (executable, device rows that later runs start from, in place of those bound before) */
  bind: "executable bindings -> none",
  /** (executable, symbols, bindings, flags: 1 to replay what repeats as a captured graph) */
  run: "executable symbols bindings code -> later none",
  arenaBytes: "executable symbols -> size",
  /** (executable, symbols, inputs and outputs that will be tensors): takes what a run needs. @throws OUT_OF_MEMORY */
  reserve: "executable symbols names -> none",
  /** (kind of fault, countdown: the n-th such call from now fails, 0 disarms). Emulator only, as the next two. */
  emulatorFail: "code size -> none",
  /** (0 in order, 1 reversed, 2 shuffled; seed) */
  emulatorSchedule: "code size -> none",
  /** (bytes of pretended device memory) */
  emulatorMemoryLimit: "size -> none",
} as const;

declare const handle: unique symbol;
export type EngineHandle = { readonly [handle]: "engine" };
export type TensorHandle = { readonly [handle]: "tensor" };
export type ExecutableHandle = { readonly [handle]: "executable" };

export interface DeviceInfo {
  readonly name: string;
  /** Compute capability; 0 and 0 on the emulator. */
  readonly major: number;
  readonly minor: number;
  readonly multiprocessors: number;
  /** 1000 * major + 10 * minor; 0 on the emulator. */
  readonly driverVersion: number;
  readonly runtimeVersion: number;
  /** Why cuBLASLt can not be loaded; empty when it can. */
  readonly missingCublas: string;
  readonly totalBytes: number;
  readonly freeBytes: number;
}

export interface DeviceMemory {
  readonly tensorBytes: number;
  readonly arenaBytes: number;
  /** Page-locked host memory. */
  readonly pinnedBytes: number;
  /** Of the device, all processes. */
  readonly freeBytes: number;
  readonly totalBytes: number;
}

export interface RunStatistics {
  /** Kernels launched by eager runs. */
  readonly launches: number;
  readonly graphCaptures: number;
  readonly graphReplays: number;
  readonly eagerRuns: number;
  /** To other ranks of its group: of what is summed or gathered the rank's own part, once. */
  readonly bytesGiven: number;
  /** Device time. */
  readonly lastRunMilliseconds: number;
}

/** A place in a group: stages have `tensor` ranks each. */
export type NativeSeat = readonly [
  id: Uint8Array,
  rank: number,
  ranks: number,
  tensor: number,
  deadlineMilliseconds: number,
];
/** Of a group's id. */
export const GROUP_ID_BYTES = 128;

/** Device rows, or a host array for an input or an output. */
export type NativeBinding =
  | readonly [name: string, tensor: TensorHandle, firstRow: number, rows: number]
  | readonly [name: string, data: HostArray];

interface Kinds {
  code: number;
  size: number;
  text: string;
  none: undefined;
  bytes: HostArray | Uint8Array;
  engine: EngineHandle;
  tensor: TensorHandle;
  executable: ExecutableHandle;
  device: DeviceInfo;
  memory: DeviceMemory;
  statistics: RunStatistics;
  weights: readonly (readonly [name: string, tensor: TensorHandle])[];
  symbols: readonly (readonly [name: string, value: number])[];
  bindings: readonly NativeBinding[];
  names: readonly string[];
  group: NativeSeat | null;
}

type Arguments<Text extends string> = Text extends `${infer First extends keyof Kinds} ${infer Rest}`
  ? [Kinds[First], ...Arguments<Rest>]
  : Text extends keyof Kinds
    ? [Kinds[Text]]
    : never;

type Result<Text extends string> = Text extends `later ${infer Kind extends keyof Kinds}`
  ? Promise<Kinds[Kind]>
  : Text extends keyof Kinds
    ? Kinds[Text]
    : never;

type Signature<Text extends string> = Text extends `${infer From} -> ${infer To}`
  ? (...args: Arguments<From>) => Result<To>
  : never;

export type CudaAddon = {
  readonly [Name in keyof typeof SIGNATURES]: Signature<(typeof SIGNATURES)[Name]>;
} & {
  /** What the kernels run on; the emulator is for tests. */
  readonly kind: "cuda" | "emulator";
  readonly programVersion: number;
  readonly signatures: Readonly<Record<string, string>>;
};

/** Why a module that was loaded is not the addon of this glimt, or null. */
export function refuseAddon(loaded: unknown): string | null {
  const addon = loaded as Partial<CudaAddon> | null | undefined;
  const signatures = typeof addon === "object" ? addon?.signatures : undefined;
  if (typeof signatures !== "object") return "it is not glimt's native addon";
  if (addon?.programVersion !== PROGRAM_VERSION) {
    return `it runs programs of version ${addon?.programVersion}, and this glimt makes version ${PROGRAM_VERSION}`;
  }
  const names = new Set([...Object.keys(SIGNATURES), ...Object.keys(signatures)]);
  for (const name of names) {
    const wanted = (SIGNATURES as Readonly<Record<string, string>>)[name];
    if (signatures[name] !== wanted) {
      return `it is of another version (${name} is "${signatures[name] ?? "missing"}", expected "${wanted ?? "nothing"}")`;
    }
  }
  return null;
}
