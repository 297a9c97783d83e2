/** What a caller may say about loading a model, checked. */
import type { BackendName, EngineOptions, WasmVariant } from "../backends/backend.ts";
import type { HttpOptions } from "../checkpoint/http-requests.ts";
import type { HubOptions } from "../checkpoint/hub/options.ts";
import {
  type ModelLocation,
  OPEN_FILES_KINDS,
  OPEN_FILES_OPTION_NAMES,
  type OpenFilesOptions,
} from "../checkpoint/location.ts";
import { GlimtError } from "../errors.ts";
import { checkTimeLimit, type Kind, readOptions, readPlain, shown } from "../given.ts";
import { MEDIA_OPTION_NAMES, type MediaOptions } from "../prompt/media-options.ts";
import { checkKvCacheSize, type KvCacheSize } from "../runtime/device-memory.ts";
import type { LoadProgress } from "../runtime/open-stages.ts";
import type { AdapterAtLoad } from "../serving/adapter-options.ts";
import { CACHE_DTYPES, type CacheDType } from "../tensor/dtype.ts";
import { ROUNDED_FORMATS, type RoundedFormat } from "../tensor/storage.ts";
import type { DeviceOptions } from "./parallel-options.ts";

/** What is said about loading a model: what is loaded and how it is stored, what runs it, and how requests share it. */
export interface LoadOptions extends MediaOptions, DeviceOptions {
  /** Sent when the checkpoint is read from an address, e.g. Authorization for a private one. Adapters get none of them. */
  readonly headers?: HttpOptions["headers"];
  /** Of a model in GGUF files: the file of its vision tower (mmproj), without which it reads text alone. */
  readonly mmproj?: ModelLocation | undefined;
  /** Replaces the global fetch for whatever is read of the checkpoint and of adapters. */
  readonly fetch?: HttpOptions["fetch"];
  /** How Hugging Face's Hub is reached, for a model or an adapter there, and where its files are kept. */
  readonly hub?: HubOptions | undefined;
  /** Told of bytes that are downloaded from the Hub into the cache, before weights are loaded from there. */
  readonly onDownload?: OpenFilesOptions["onDownload"];
  /**
   * Milliseconds without a byte from a server of the checkpoint or of an adapter, after which loading ends with TIMED_OUT
   * (default 30000); ten times as many for a whole answer (a small file, or up to 4 MiB of weights).
   */
  readonly checkpointTimeout?: HttpOptions["checkpointTimeout"];
  /** "auto", the default, takes the best that works here; why not a better one: `model.refusedBackends`. */
  readonly backend?: BackendName | "auto" | undefined;
  /**
   * Storage of the weights; default: as in the checkpoint. "q8" and "q4" (ggml's Q8_0 and Q4_0, about 8.5 and 4.5 bits a
   * weight) are for the language model: matrices whose rows are whole blocks of 32 columns, under "q4"
   * keys, values, the embedding table and the head in q8; routers, vectors and the vision tower stay as they are.
   */
  readonly dtype?: RoundedFormat | undefined;
  /** Storage of the vision tower in place of `dtype`; default: the same, and beside "q8" and "q4" as in the checkpoint. */
  readonly visionDtype?: RoundedFormat | undefined;
  /**
   * Threads of the WebAssembly backend, which share its memory. Default: one a core, at most 8, in browsers at most 4; one
   * where memory can not be shared, which `model.backend` says. Results are the same to the bit.
   */
  readonly threads?: number | undefined;
  /**
   * Whether the model lives in a worker, so that loading and answering never hold the thread that asks: engine, processor and
   * all. Default: on a browser's page, where a worker can be had; not in Node, nor in a worker. Why not although it was asked
   * for: `model.backend.limits`. See docs/browser.md.
   */
  readonly worker?: boolean | undefined;
  /** The one variant of the WebAssembly backend's module to run, for tests and measurements; default: the best one. */
  readonly wasmVariant?: WasmVariant | undefined;
  /**
   * Most bytes that the WebAssembly backend's memory may take (of each engine, where several share the model): weights, KV
   * cache and what runs need. What does not fit is
   * OUT_OF_MEMORY before weights are read, or before anything of a request is computed. Default: all that its addresses
   * reach, 4 GiB, or 16 GiB where the model needs them and the host has them.
   */
  readonly maxMemory?: number | undefined;
  /**
   * Most tokens of one prompt in a step (default 512, on CUDA 2048, and not more than `maxBatchedTokens`): memory and the
   * time to cancel grow with it, results do not change.
   */
  readonly prefillChunk?: number | undefined;
  /** Most tokens of one step, of all requests together (default: as `prefillChunk`). */
  readonly maxBatchedTokens?: number | undefined;
  /**
   * Most requests that a step is shared by (default 32). 1: requests take turns.
   */
  readonly maxSequences?: number | undefined;
  /**
   * Whether a request has the same bits whatever shares its steps, however its prompt is cut, and whatever of it was found in
   * a cache, guessed or read again. On WebAssembly and the reference it always has. On CUDA (default: no) products and
   * attention are then computed by kernels whose sums do not depend on the number of rows, which takes longer.
   */
  readonly batchInvariant?: boolean | undefined;
  /**
   * Tokens of vision features that the encoder's runs are padded to, ascending: pictures of many sizes then run at a
   * few sizes, so that what a backend prepares for a size is used again. "auto": doubling from a small image to the
   * largest one. Default: 64, 128 and 256 where runs are replayed as graphs (CUDA), elsewhere none: nothing is padded.
   */
  readonly encoderTokenBudgets?: readonly number[] | "auto" | undefined;
  /**
   * Storage of keys and values in the KV cache; default: the activation type, which is f32 on WebAssembly and the CUDA
   * backend's `activations` there. bf16 halves the cache and what a long context costs to read; q8 (blocks of 32 as
   * ggml's Q8_0) leaves 0.27 of f32, for models whose heads are a multiple of 32 wide.
   */
  readonly kvCacheDtype?: CacheDType | undefined;
  /**
   * Whether the checkpoint's layer that predicts several tokens (MTP) is loaded, for `speculation`. Default: true where there
   * is one, but for pipelines of several devices, which can not have it. Without it its weights, a part of the KV cache and some time of reading prompts are saved.
   */
  readonly mtp?: boolean | undefined;
  /**
   * Whether the model can tell what each token of an answer was chosen by (`generate` with `attention`); default false. Not on
   * a group of devices. Requests that do not ask for it take no longer.
   */
  readonly attention?: boolean | undefined;
  /**
   * Memory to take for the KV cache when the model is loaded: what is kept of requests that ended stays within it. Default:
   * none; the cache grows with what is asked for, and to keep what it holds up to half of what is free beside the weights, or
   * up to 1 GiB where that can not be told. What is kept gives way to what requests need.
   */
  readonly kvCache?: KvCacheSize | undefined;
  /**
   * Whether pages of the KV cache are kept when a request ends, and shared by those that begin with the same tokens and
   * pictures (default true): the same page with another question, and a chat's next turn, read only what is new.
   */
  readonly prefixCache?: boolean | undefined;
  /**
   * Most bytes of features of pictures and videos that are kept for later requests with the same ones (default 64 MiB; 0:
   * none). What is kept goes when memory is needed for anything else.
   */
  readonly encoderCacheBytes?: number | undefined;
  /**
   * Loads the model so many times, to answer as one: on GPUs each on devices of its own (as many as `parallel` says, or one),
   * from `devices` or from 0 upwards; on other backends as engines of this process. A request goes to the one that has
   * computed the longest beginning of its prompt, or else to the one with least to do; one whose device fails is left out.
   */
  readonly dataParallel?: number | undefined;
  /** LoRA adapters to load with the model: to be asked for by request, or merged into the weights. */
  readonly adapters?: readonly AdapterAtLoad[] | undefined;
  /** Told of bytes loaded; and before the first, of what loading takes of a GPU. */
  readonly onProgress?: ((progress: LoadProgress) => void) | undefined;
  /** Ends loading with ABORTED, and frees what was loaded. */
  readonly signal?: AbortSignal | undefined;
}

/** Some pages of text in the smaller models. */
export const DEFAULT_ENCODER_CACHE_BYTES = 64 * 2 ** 20;
export const DEFAULT_MAX_SEQUENCES = 32;

export const LOAD_OPTION_NAMES = [
  ...MEDIA_OPTION_NAMES,
  ...OPEN_FILES_OPTION_NAMES,
  "backend",
  "dtype",
  "visionDtype",
  "threads",
  "worker",
  "wasmVariant",
  "maxMemory",
  "prefillChunk",
  "maxBatchedTokens",
  "maxSequences",
  "batchInvariant",
  "encoderTokenBudgets",
  "kvCacheDtype",
  "mtp",
  "attention",
  "kvCache",
  "prefixCache",
  "encoderCacheBytes",
  "devices",
  "parallel",
  "dataParallel",
  "adapters",
  "onProgress",
];
/** Of these the type says it all; the others are checked by what they may be. */
const KINDS: Readonly<Record<string, Kind>> = {
  ...OPEN_FILES_KINDS,
  limits: "object",
  worker: "boolean",
  batchInvariant: "boolean",
  mtp: "boolean",
  attention: "boolean",
  devices: "list",
  parallel: "object",
  prefixCache: "boolean",
};

/**
 * A copy of what a caller says, checked.
 *
 * @throws OPTION_INVALID naming the option, what it is and what is expected.
 */
export function readLoadOptions(given: LoadOptions | undefined): LoadOptions {
  const read = readOptions(given, "loadModel", LOAD_OPTION_NAMES, KINDS);
  const kvCache = readPlain(read.kvCache, "kvCache", "OPTION_INVALID") as LoadOptions["kvCache"];
  const options = { ...read, kvCache };
  checkLoadOptions(options);
  return options;
}

function checkLoadOptions(options: LoadOptions): void {
  for (const name of ["dtype", "visionDtype"] as const) {
    const format = options[name];
    if (format === undefined || ROUNDED_FORMATS.includes(format)) continue;
    throw new GlimtError(
      "OPTION_INVALID",
      `${name} is ${shown(format)}, expected ${ROUNDED_FORMATS.join(", ")}.`,
    );
  }
  const { kvCacheDtype } = options;
  if (kvCacheDtype !== undefined && !CACHE_DTYPES.includes(kvCacheDtype)) {
    throw new GlimtError(
      "OPTION_INVALID",
      `kvCacheDtype is ${shown(kvCacheDtype)}, expected ${CACHE_DTYPES.join(", ")}.`,
    );
  }
  if (options.kvCache !== undefined) checkKvCacheSize(options.kvCache);
  const { encoderTokenBudgets: budgets = [] } = options;
  if (budgets !== "auto" && !Array.isArray(budgets)) {
    throw new GlimtError(
      "OPTION_INVALID",
      `encoderTokenBudgets is ${shown(budgets)}, expected a list or "auto".`,
    );
  }
  checkTimeLimit("checkpointTimeout", options.checkpointTimeout);
  const { encoderCacheBytes: kept = 0 } = options;
  if (!(Number.isInteger(kept) && kept >= 0)) {
    throw new GlimtError(
      "OPTION_INVALID",
      `encoderCacheBytes is ${shown(kept)}, expected a whole number of bytes, 0 for none.`,
    );
  }
  const numbers = {
    prefillChunk: options.prefillChunk,
    maxBatchedTokens: options.maxBatchedTokens,
    maxSequences: options.maxSequences,
    threads: options.threads,
    maxMemory: options.maxMemory,
    ...Object.fromEntries(
      [...(budgets === "auto" ? [] : budgets)].map((value, index) => [
        `encoderTokenBudgets[${index}]`,
        value,
      ]),
    ),
  };
  for (const [name, value] of Object.entries(numbers)) {
    if (value !== undefined && !(Number.isInteger(value) && value >= 1)) {
      throw new GlimtError("OPTION_INVALID", `${name} is ${shown(value)}, expected a whole number from 1.`);
    }
  }
}

/** What of them is for the engine. */
export function engineOptions({
  threads,
  wasmVariant,
  maxMemory,
  batchInvariant,
  workerUrl,
}: LoadOptions): EngineOptions {
  return {
    ...(batchInvariant === undefined ? {} : { batchInvariant }),
    ...(maxMemory === undefined ? {} : { maxMemory }),
    ...(threads === undefined ? {} : { threads }),
    ...(wasmVariant === undefined ? {} : { wasmVariant }),
    ...(workerUrl === undefined ? {} : { workerUrl }),
  };
}
