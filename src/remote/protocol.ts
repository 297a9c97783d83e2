/** What goes between the SDK of a page and the worker that its models live in. */
import type { LoadedWeights, Model, ModelBackend } from "../api/model.ts";
import type { ModelConfig, ProcessorConfig } from "../config/types.ts";
import type { AdapterFacts } from "../serving/adapters.ts";
import type { GenerationEvent } from "../serving/run-result.ts";
import type { ModelStatistics } from "../serving/statistics.ts";
import type { WeightFormat } from "../tensor/storage.ts";
import type { PackedError } from "../workers/messages.ts";
import type { Packed } from "./pack.ts";

/** Methods that are called in the worker as they are, and answer once. */
export const CALLED = [
  "loadAdapter",
  "unloadAdapter",
  "process",
  "tokenize",
  "detokenize",
  "plan",
  "warmUp",
  "complete",
  "saveSession",
  "restoreSession",
  "encodeImages",
  "encodeVideos",
  "trimMemory",
  "dispose",
] as const satisfies readonly (keyof Model)[];
export type Called = (typeof CALLED)[number];

/** What is told of a model once. */
export interface RemoteFacts {
  readonly dtype: WeightFormat;
  readonly config: ModelConfig;
  readonly processorConfig: ProcessorConfig;
  readonly refusedBackends: Model["refusedBackends"];
  readonly loadMilliseconds: number;
  readonly loaded: LoadedWeights;
  readonly canThink: boolean;
  readonly readsAnySource: boolean;
}

/** What changes: it comes with every message about the model, so that the page can be asked for it without waiting. */
export interface RemoteState {
  readonly backend: ModelBackend;
  readonly liveBytes: number;
  readonly adapters: readonly AdapterFacts[];
  /** Null once the model is disposed of. */
  readonly stats: ModelStatistics | null;
}

/** How many events of a run the worker may be ahead of its reader. */
export const MOST_EVENTS_AHEAD = 64;

interface WithArguments {
  readonly id: number;
  readonly model: number;
  readonly args: Packed;
  /** What relative addresses are relative to. */
  readonly base: string | undefined;
}

export type ToWorker =
  /** `args`: location and options. `model`: the number it is to have. */
  | ({ readonly type: "load" } & WithArguments)
  | ({ readonly type: "call"; readonly method: Called } & WithArguments)
  /** Begins a run, which sends up to MOST_EVENTS_AHEAD events; `more` asks for as many as were read. */
  | ({ readonly type: "run" } & WithArguments)
  | { readonly type: "more"; readonly id: number; readonly count: number }
  /** Leaves a run, which is answered as it ends. */
  | { readonly type: "leave"; readonly id: number }
  /** A signal that was given with the arguments of `id` has fired. */
  | { readonly type: "abort"; readonly id: number; readonly signal: number }
  /** The end of what the worker asked. */
  | { readonly type: "reply"; readonly id: number; readonly result?: unknown; readonly error?: PackedError };

export type FromWorker =
  | { readonly type: "loaded"; readonly id: number; readonly facts: RemoteFacts; readonly state: RemoteState }
  | { readonly type: "result"; readonly id: number; readonly result: unknown; readonly state: RemoteState }
  | {
      readonly type: "event";
      readonly id: number;
      readonly event: GenerationEvent;
      readonly state: RemoteState;
    }
  | {
      readonly type: "error";
      readonly id: number;
      readonly error: PackedError;
      /** Absent where there is no model. */
      readonly state?: RemoteState | undefined;
    }
  | { readonly type: "state"; readonly model: number; readonly state: RemoteState }
  /** Calls a function that was given with the arguments of `call`. */
  | {
      readonly type: "callback";
      readonly id: number;
      readonly call: number;
      readonly callback: number;
      readonly args: readonly unknown[];
    };

/** An end of the way between them. */
export interface ModelPort {
  postMessage(message: ToWorker | FromWorker, transfer?: Transferable[]): void;
  onmessage: ((event: { readonly data: never }) => void) | null;
  close(): void;
  /** Where a port can keep the process alive. */
  ref?(): void;
  unref?(): void;
}
