/** A loaded model: the object users hold. */
/// <reference lib="esnext.disposable" preserve="true" />
import type { BackendName, EngineReport } from "../backends/backend.ts";
import type { Aside } from "../checkpoint/names.ts";
import type { StorageTotals } from "../checkpoint/tensor-storage.ts";
import type { ModelConfig, ProcessorConfig } from "../config/types.ts";
import type { ImageSource } from "../media/source.ts";
import type { VideoSource } from "../media/video-source.ts";
import type { ImageEmbeddings, VideoEmbeddings } from "../prompt/media-embeddings.ts";
import type { Message, ProcessOptions } from "../prompt/process-options.ts";
import type { ProcessedInputs } from "../prompt/processed-inputs.ts";
import type { EmbeddedPrompt, PromptInputs } from "../prompt/prompt-inputs.ts";
import type { RequestSizes } from "../prompt/request-counts.ts";
import type { RequestPlan } from "../runtime/request-plan.ts";
import type { AdapterSource } from "../serving/adapter-options.ts";
import type { AdapterFacts } from "../serving/adapters.ts";
import type { EncodeOptions } from "../serving/encode-media.ts";
import type { GenerateOptions } from "../serving/generation-options.ts";
import type { GenerationRun } from "../serving/run.ts";
import type { GenerationResult } from "../serving/run-result.ts";
import type { RestoreSessionOptions, SessionFacts } from "../serving/session/session.ts";
import type { ModelStatistics } from "../serving/statistics.ts";
import type { WeightFormat } from "../tensor/storage.ts";
import type { DecodeOptions } from "../text/tokenizer.ts";

/** What runs a model. */
export interface ModelBackend extends EngineReport {
  /** Which of the backends it is. */
  readonly name: BackendName;
}

/** What was read from the checkpoint. */
export interface LoadedWeights {
  /** Weights on the device; stacked tensors (q, k and v, experts) count as one. */
  readonly weights: number;
  /** Of them, as they were read: in the checkpoint's types, merged weights in f32. */
  readonly bytes: number;
  /** Bytes of them on the device by storage format, as plain matrices; a layout in tiles may add rows of zeros. */
  readonly storedBytes: Readonly<Partial<Record<WeightFormat, number>>>;
  /** What became of tensors of each type in the files, with what loss; adapters that were merged are not counted in. */
  readonly conversions: readonly StorageTotals[];
  /** What the files did not say and is taken from elsewhere, in sentences: of GGUF files mostly how pictures are resized. */
  readonly notes: readonly string[];
  /** Tensors the plain model does without, by name: "mtp" layers, "rotary" buffers, "unknown" ones. */
  readonly aside: ReadonlyMap<string, Aside>;
}

/** Messages to answer, what `process` made of them, token ids with tensors of a caller's own, or embeddings. */
export type Prompt = readonly Message[] | PromptInputs | EmbeddedPrompt;

/** How a text becomes token ids. */
export interface TokenizeOptions {
  /** Put before the text what the tokenizer puts before texts, where it does not begin with that; default true. */
  readonly addSpecialTokens?: boolean | undefined;
  /** Ends it with ABORTED. */
  readonly signal?: AbortSignal | undefined;
}

/** How an adapter is loaded. */
export interface LoadAdapterOptions {
  /** Ends loading with ABORTED; nothing of the adapter stays. */
  readonly signal?: AbortSignal | undefined;
}

/** What decides which pages a prompt has, as `generate` takes it; and where they are saved. */
export interface SaveSessionOptions
  extends Omit<ProcessOptions, "onProgress">,
    Pick<GenerateOptions, "cacheSalt" | "speculation">,
    RestoreSessionOptions {
  /** In Node: the file to write, in place of a Blob. It appears when it is whole. */
  readonly path?: string | URL | undefined;
}

/** Sizes of a request, and the new tokens to make room for. */
export type PlannedSizes = RequestSizes & {
  /** New tokens; default: as `generate` has it. */
  readonly maxTokens?: number;
};

/** A checkpoint that is loaded: in this thread, or in a worker. */
export interface Model {
  /** How weights are stored: as `dtype` asked, or as most of the checkpoint is. `loaded.storedBytes` has it all. */
  readonly dtype: WeightFormat;
  /** The checkpoint's configuration, parsed and frozen. */
  readonly config: ModelConfig;
  /** How the checkpoint has pictures and videos resized, normalised and cut into patches. */
  readonly processorConfig: ProcessorConfig;
  /** Why better backends were not taken. */
  readonly refusedBackends: readonly {
    /** One that is better where it works. */
    readonly backend: BackendName;
    /** Why it does not, and what to do about it. */
    readonly reason: string;
  }[];
  /** Time that loading took. */
  readonly loadMilliseconds: number;
  /** What was read from the checkpoint, and what was set aside. */
  readonly loaded: LoadedWeights;
  /** Whether its tokenizer has `<think>` and `</think>`, so that `thinkingBudget` means something. */
  readonly canThink: boolean;
  /** Whether its option `sources` was "any" or left out: a message may name every file and host. */
  readonly readsAnySource: boolean;
  /** What runs it now. */
  readonly backend: ModelBackend;
  /**
   * Device memory held now, in bytes: weights, KV cache, the arena of runs. 0 after dispose. Of a model in a worker this,
   * `backend`, `adapters` and `stats()` are as the worker said with its last message.
   */
  readonly liveBytes: number;
  /** The adapters that are loaded, and those merged into the weights. */
  readonly adapters: readonly AdapterFacts[];

  /** What is under way now, and what was counted since the model was loaded. @throws DISPOSED */
  stats(): ModelStatistics;

  /**
   * Loads a PEFT LoRA adapter, to be asked for by name in `generate`. It costs the memory of its matrices.
   *
   * @throws CHECKPOINT_NOT_FOUND, ADAPTER_INVALID naming the key or the module that does not fit, CHECKPOINT_INVALID,
   * WEIGHTS_INVALID, OPTION_INVALID, OUT_OF_MEMORY, TIMED_OUT, ABORTED, DISPOSED; the model stays usable.
   */
  loadAdapter(source: AdapterSource, options?: LoadAdapterOptions): Promise<void>;

  /** Frees an adapter; requests under way with it end first. @throws OPTION_INVALID when there is none of that name */
  unloadAdapter(name: string): Promise<void>;

  /** What the model would be given: prompt text, token ids, pixels, positions. Runs no model. */
  process(messages: readonly Message[], options?: ProcessOptions): Promise<ProcessedInputs>;

  /**
   * The token ids of a text; control tokens that it spells are found in it.
   *
   * @throws INPUT_INVALID for what is no text, ABORTED, DISPOSED
   */
  tokenize(text: string, options?: TokenizeOptions): Promise<number[]>;

  /**
   * The text of token ids; control tokens are left out unless `skipSpecialTokens` is false.
   *
   * @throws INPUT_INVALID, OPTION_INVALID, DISPOSED
   */
  detokenize(ids: readonly number[], options?: DecodeOptions): Promise<string>;

  /**
   * What a request with pictures and videos of these sizes will need: grids, tokens, KV pages, bytes. Runs nothing.
   *
   * @throws INPUT_INVALID, IMAGE_INVALID, VIDEO_INVALID for sizes and counts that `process` would refuse
   */
  plan(sizes: PlannedSizes): Promise<RequestPlan>;

  /**
   * Runs a request of these sizes with black pictures and one new token, so that memory is taken and code is compiled
   * before the first real one. Default: one image of the size with most features that the context has room for, which
   * is slow on a CPU.
   */
  warmUp(sizes?: RequestSizes): Promise<void>;

  /**
   * A run that answers: iterate its events, await its `result`, `abort()` it. It starts at the first `next()`, or when
   * `result` is read; both throw what is wrong with it. Leaving the loop ends it and frees its memory. Several runs may be
   * under way; they share steps (load option `maxSequences`).
   *
   * @throws OPTION_INVALID, INPUT_INVALID, TEMPLATE_INVALID, IMAGE_INVALID, IMAGE_TOO_LARGE, VIDEO_INVALID,
   * CODEC_UNAVAILABLE, SOURCE_REFUSED, SOURCE_TOO_LARGE, TIMED_OUT, CONTEXT_OVERFLOW, OUT_OF_MEMORY, TENSOR_INVALID,
   * ABORTED, DISPOSED, when it is read; the model stays usable.
   */
  generate(prompt: Prompt, options?: GenerateOptions & ProcessOptions): GenerationRun;

  /** The whole answer at once. @throws what reading a run of `generate` does */
  complete(prompt: Prompt, options?: GenerateOptions & ProcessOptions): Promise<GenerationResult>;

  /**
   * Saves what the KV cache holds of a prompt, pictures and all, so that another process goes on behind it: whoever restores
   * it and asks something that begins with the same rows reads only what is new. What is not cached of the prompt is read
   * first, without adapters. It holds the conversation's tokens, and the salt: keep it as you keep these.
   *
   * @returns the session as a Blob, or nothing but its sizes where it was written to `path`
   * @throws OPTION_INVALID, also where `prefixCache` is off and on a group of devices; OUTPUT_FAILED; and what reading a run
   * of `generate` does
   */
  saveSession(
    prompt: Prompt,
    options: SaveSessionOptions & { readonly path: string | URL },
  ): Promise<SessionFacts>;
  /** The same in memory. */
  saveSession(
    prompt: Prompt,
    options?: SaveSessionOptions,
  ): Promise<
    SessionFacts & {
      /** The session. */
      readonly blob: Blob;
    }
  >;

  /**
   * Puts a session's pages into the KV cache, where requests find them that begin with the same rows and have the same salt.
   * Nothing of it is found before all was checked; but whoever made the file is believed that they are of these rows, so
   * restore what you have saved. Requests under way wait meanwhile.
   *
   * @param source a Blob; in Node a file's path too
   * @throws SESSION_INVALID for what is damaged or of another model, OPTION_INVALID, OUT_OF_MEMORY, ABORTED, DISPOSED;
   * nothing is restored then.
   */
  restoreSession(source: Blob | string | URL, options?: RestoreSessionOptions): Promise<SessionFacts>;

  /**
   * The features of each image, to be kept and given in place of the image later:
   * `{ type: "image", image: embeddings }` is answered as the image itself is.
   *
   * @throws IMAGE_INVALID, IMAGE_TOO_LARGE, SOURCE_REFUSED, SOURCE_TOO_LARGE, TIMED_OUT, OUT_OF_MEMORY, ABORTED, DISPOSED
   */
  encodeImages(images: readonly ImageSource[], options?: EncodeOptions): Promise<ImageEmbeddings[]>;

  /** The features of each video with their timestamps, as `encodeImages`. @throws VIDEO_INVALID and what it throws */
  encodeVideos(videos: readonly VideoSource[], options?: EncodeOptions): Promise<VideoEmbeddings[]>;

  /**
   * Gives back memory that is kept to be used again: the arena of runs, free pages of the KV cache beyond those taken at
   * load. What requests under way hold stays, and the next run takes again what it needs. WebAssembly's memory never gets
   * smaller: what is given back there is used again by this model, and the process has it back after `dispose`.
   *
   * @throws DISPOSED
   */
  trimMemory(): Promise<void>;

  /** Frees everything; generations under way end with DISPOSED. May be called again. */
  dispose(): Promise<void>;
  /** As `dispose`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}
