/** A loaded model: the object users hold. */
/// <reference lib="esnext.disposable" preserve="true" />
import type { BackendName, EngineReport } from "../backends/backend.ts";
import type { Aside } from "../checkpoint/names.ts";
import type { StorageTotals } from "../checkpoint/tensor-storage.ts";
import type { ModelConfig } from "../config/types.ts";
import { GlimtError } from "../errors.ts";
import { readList, readOnce, readOptions, shown } from "../given.ts";
import type { ImageSource } from "../media/source.ts";
import type { VideoSource } from "../media/video-source.ts";
import type { ImageEmbeddings, VideoEmbeddings } from "../prompt/media-embeddings.ts";
import {
  type Message,
  PROCESS_OPTION_KINDS,
  PROCESS_OPTION_NAMES,
  type ProcessOptions,
} from "../prompt/process-options.ts";
import type { ProcessedInputs, ProcessedMedia } from "../prompt/processed-inputs.ts";
import type { Processor } from "../prompt/processor.ts";
import {
  type DecoderPrompt,
  decoderPrompt,
  type EmbeddedPrompt,
  type PromptInputs,
} from "../prompt/prompt-inputs.ts";
import type { RequestSizes } from "../prompt/request-counts.ts";
import { ownItem } from "../prompt/vision-items.ts";
import { stagePrograms } from "../runtime/compile-stages.ts";
import { planRequest, type RequestPlan } from "../runtime/request-plan.ts";
import type { AdapterSource } from "../serving/adapter-options.ts";
import type { AdapterFacts } from "../serving/adapters.ts";
import { answersGrammar } from "../serving/answer-context.ts";
import { type OpenedChoices, openChoices } from "../serving/choices.ts";
import { ENCODE_OPTION_NAMES, type EncodeOptions, encodeMedia } from "../serving/encode-media.ts";
import { namedFeatureKey } from "../serving/feature-keys.ts";
import {
  DEFAULT_MAX_TOKENS,
  GENERATE_OPTION_KINDS,
  GENERATE_OPTION_NAMES,
  type GenerateOptions,
  resolveGeneration,
} from "../serving/generation-options.ts";
import { mergedChoices } from "../serving/merged-choices.ts";
import type { ModelCore } from "../serving/model-core.ts";
import { PromptLookup } from "../serving/prompt-lookup.ts";
import { GenerationRun } from "../serving/run.ts";
import type { GenerationEvent, GenerationResult } from "../serving/run-result.ts";
import { restoreSession } from "../serving/session/restore-session.ts";
import { saveSession } from "../serving/session/save-session.ts";
import {
  type RestoreSessionOptions,
  requireSessions,
  type SessionFacts,
} from "../serving/session/session.ts";
import { BlobOutput, blobInput, type SessionFiles } from "../serving/session/storage.ts";
import { type ModelStatistics, modelStatistics } from "../serving/statistics.ts";
import type { WeightFormat } from "../tensor/storage.ts";

/** What runs a model. */
export interface ModelBackend extends EngineReport {
  readonly name: BackendName;
}

export interface ModelFacts {
  readonly dtype: WeightFormat;
  readonly refused: readonly { readonly backend: BackendName; readonly reason: string }[];
  readonly loadMilliseconds: number;
  readonly loaded: LoadedWeights;
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

export interface LoadAdapterOptions {
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

const SESSION_OPTION_NAMES = ["cacheSalt", "speculation", "path", ...PROCESS_OPTION_NAMES];
const OPTION_KINDS = { ...GENERATE_OPTION_KINDS, ...PROCESS_OPTION_KINDS };
const ALL_OPTION_NAMES = [...GENERATE_OPTION_NAMES, ...PROCESS_OPTION_NAMES];

export class Model {
  /** How weights are stored: as `dtype` asked, or as most of the checkpoint is. `loaded.storedBytes` has it all. */
  readonly dtype: WeightFormat;
  readonly config: ModelConfig;
  /** Why better backends were not taken. */
  readonly refusedBackends: ModelFacts["refused"];
  readonly loadMilliseconds: number;
  readonly loaded: LoadedWeights;
  readonly #core: ModelCore;
  readonly #processor: Processor;
  readonly #sessionFiles: SessionFiles | undefined;

  /** Use `loadModel`. */
  constructor(core: ModelCore, processor: Processor, facts: ModelFacts, sessionFiles?: SessionFiles) {
    this.#core = core;
    this.#processor = processor;
    this.#sessionFiles = sessionFiles;
    this.dtype = facts.dtype;
    this.config = processor.checkpoint.config;
    this.refusedBackends = facts.refused;
    this.loadMilliseconds = facts.loadMilliseconds;
    this.loaded = facts.loaded;
  }

  /** What runs it now. */
  get backend(): ModelBackend {
    const { backend, report } = this.#core.parts.engine;
    return { name: backend.name, ...report };
  }

  /** Device memory held now, in bytes: weights, KV cache, the arena of runs. 0 after dispose. */
  get liveBytes(): number {
    return this.#core.parts.engine.liveBytes;
  }

  /** What is under way now, and what was counted since the model was loaded. @throws DISPOSED */
  stats(): ModelStatistics {
    this.#core.throwIfDisposed();
    return modelStatistics(this.#core);
  }

  /** The adapters that are loaded, and those merged into the weights. */
  get adapters(): readonly AdapterFacts[] {
    return this.#core.adapters.facts;
  }

  /**
   * Loads a PEFT LoRA adapter, to be asked for by name in `generate`. It costs the memory of its matrices.
   *
   * @throws CHECKPOINT_NOT_FOUND, ADAPTER_INVALID naming the key or the module that does not fit, CHECKPOINT_INVALID,
   * WEIGHTS_INVALID, OPTION_INVALID, OUT_OF_MEMORY, TIMED_OUT, ABORTED, DISPOSED; the model stays usable.
   */
  async loadAdapter(source: AdapterSource, options?: LoadAdapterOptions): Promise<void> {
    const { signal } = readOptions(options, "loadAdapter", ["signal"]);
    this.#core.throwIfDisposed();
    await this.#core.adapters.load(source, signal);
  }

  /** Frees an adapter; requests under way with it end first. @throws OPTION_INVALID when there is none of that name */
  unloadAdapter(name: string): Promise<void> {
    this.#core.throwIfDisposed();
    return this.#core.adapters.unload(name);
  }

  /** What the model would be given: prompt text, token ids, pixels, positions. Runs no model. */
  process(messages: readonly Message[], options: ProcessOptions = {}): Promise<ProcessedInputs> {
    this.#core.throwIfDisposed();
    return this.#processor.process(messages, options);
  }

  /**
   * What a request with pictures and videos of these sizes will need: grids, tokens, KV pages, bytes. Runs nothing.
   *
   * @throws INPUT_INVALID, IMAGE_INVALID, VIDEO_INVALID for sizes and counts that `process` would refuse
   */
  plan(given: RequestSizes & { readonly maxTokens?: number }): RequestPlan {
    const { maxTokens = DEFAULT_MAX_TOKENS, ...sizes } = readPlanned(given);
    const { parts } = this.#core;
    this.#core.throwIfDisposed();
    return planRequest(this.#processor.sizes.count(sizes), stagePrograms(parts), this.config, {
      maxTokens,
      prefillChunk: parts.prefillChunk,
      pageSize: parts.pool.layout.pageSize,
      activationDType: parts.engine.backend.activationDType,
      kvCacheDType: parts.pool.layout.dtype,
      encoderBudgets: parts.encoderBudgets,
    });
  }

  /**
   * Runs a request of these sizes with black pictures and one new token, so that memory is taken and code is compiled
   * before the first real one. Default: one image of the size with most features that the context has room for, which
   * is slow on a CPU.
   */
  async warmUp(sizes?: RequestSizes): Promise<void> {
    this.#core.throwIfDisposed();
    const largest = () => {
      const { resizedWidth: width, resizedHeight: height } =
        this.#processor.sizes.imageSizeWithMostFeatures();
      return { images: [{ width, height }] };
    };
    await this.complete(this.#processor.sizes.dummyInputs(sizes ?? largest()), { maxTokens: 1 });
  }

  /**
   * A run that answers: iterate its events, await its `result`, `abort()` it. It starts at the first `next()`, or when
   * `result` is read; both throw what is wrong with it. Leaving the loop ends it and frees its memory. Several runs may be
   * under way; they share steps (load option `maxSequences`).
   *
   * @throws OPTION_INVALID, INPUT_INVALID, TEMPLATE_INVALID, IMAGE_INVALID, IMAGE_TOO_LARGE, VIDEO_INVALID,
   * CODEC_UNAVAILABLE, SOURCE_REFUSED, SOURCE_TOO_LARGE, TIMED_OUT, CONTEXT_OVERFLOW, OUT_OF_MEMORY, TENSOR_INVALID,
   * ABORTED, DISPOSED, when it is read; the model stays usable.
   */
  generate(prompt: Prompt, options?: GenerateOptions & ProcessOptions): GenerationRun {
    return new GenerationRun((stop) => this.#events("generate", prompt, options, stop));
  }

  /** The whole answer at once. @throws what reading a run of `generate` does */
  async complete(prompt: Prompt, options?: GenerateOptions & ProcessOptions): Promise<GenerationResult> {
    const events = this.#events("complete", prompt, options, new AbortController());
    for (;;) {
      const next = await events.next();
      if (next.done) return next.value;
    }
  }

  async *#events(
    method: "complete" | "generate",
    prompt: Prompt,
    given: (GenerateOptions & ProcessOptions) | undefined,
    stop: AbortController,
  ): AsyncGenerator<GenerationEvent, GenerationResult, void> {
    const read = readOptions(given, method, ALL_OPTION_NAMES, OPTION_KINDS);
    this.#core.throwIfDisposed();
    const signals = read.signal ? [read.signal, stop.signal] : [stop.signal];
    const options = { ...read, signal: AbortSignal.any(signals) };
    const choices = await this.#choices(prompt, options);
    return yield* mergedChoices(choices, stop);
  }

  async #choices(prompt: Prompt, options: GenerateOptions & ProcessOptions): Promise<OpenedChoices> {
    const { parts, adapters } = this.#core;
    // First: reading pictures may take long.
    const resolved = resolveGeneration(options, parts.generation, {
      ...this.config.text,
      tokenizer: parts.tokenizer,
    });
    // An adapter that is unloaded while pictures are read stays for these answers.
    const leases = await adapters.acquireAll(options.adapters, resolved.n);
    try {
      const read = await this.#decoderPrompt(prompt, options, leases[0]?.adapters);
      const grammar = await answersGrammar(resolved, read, parts, options.signal);
      const looksUp = resolved.speculation === "lookup";
      const lookup = looksUp ? await PromptLookup.of(read.layout.inputIds, options.signal) : null;
      return openChoices(this.#core, read, { ...resolved, grammar, lookup }, leases, options);
    } catch (error) {
      for (const lease of leases) await lease.release();
      throw error;
    }
  }

  /** Beside it nothing holds what a prompt was made of, so that pixels are not kept while an answer is generated. */
  async #decoderPrompt(
    prompt: Prompt,
    options: GenerateOptions & ProcessOptions,
    adapters = "",
  ): Promise<DecoderPrompt> {
    const areTensors = isTensors(prompt);
    if (areTensors) refuseProcessOptions(options);
    const { encoderCache } = this.#core.parts;
    const known = (uuid: string) =>
      this.#core.run(() => encoderCache.features(namedFeatureKey(adapters, options.cacheSalt ?? "", uuid)));
    const inputs = areTensors
      ? prompt
      : await this.#processor.processFor(
          prompt,
          processOptions(options),
          this.config.text.maxPositionEmbeddings,
          known,
        );
    const read = decoderPrompt(inputs, this.config);
    return { ...read, visionItems: read.visionItems.map((item) => ownItem(item, areTensors)) };
  }

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
  saveSession(prompt: Prompt, options?: SaveSessionOptions): Promise<SessionFacts & { readonly blob: Blob }>;
  async saveSession(
    prompt: Prompt,
    given?: SaveSessionOptions,
  ): Promise<SessionFacts & { readonly blob?: Blob }> {
    const { path, onProgress, ...options } = readOptions(
      given,
      "saveSession",
      SESSION_OPTION_NAMES,
      OPTION_KINDS,
    );
    const { parts } = this.#core;
    this.#core.throwIfDisposed();
    requireSessions(parts, "saveSession");
    const resolved = resolveGeneration({ ...options, maxTokens: 1, temperature: 0 }, parts.generation, {
      ...this.config.text,
      tokenizer: parts.tokenizer,
    });
    const read = await this.#decoderPrompt(prompt, { ...options, onProgress });
    const output = path === undefined ? new BlobOutput() : await this.#paths("path").create(path);
    try {
      const { signal } = options;
      const facts = await saveSession(this.#core, read, resolved, output, { signal, onProgress });
      return output instanceof BlobOutput ? { ...facts, blob: output.blob } : facts;
    } catch (error) {
      await output.discard();
      throw error;
    }
  }

  /**
   * Puts a session's pages into the KV cache, where requests find them that begin with the same rows and have the same salt.
   * Nothing of it is found before all was checked; but whoever made the file is believed that they are of these rows, so
   * restore what you have saved. Requests under way wait meanwhile.
   *
   * @param source a Blob; in Node a file's path too
   * @throws SESSION_INVALID for what is damaged or of another model, OPTION_INVALID, OUT_OF_MEMORY, ABORTED, DISPOSED;
   * nothing is restored then.
   */
  async restoreSession(source: Blob | string | URL, given?: RestoreSessionOptions): Promise<SessionFacts> {
    const options = readOptions(given, "restoreSession", ["signal", "onProgress"]);
    this.#core.throwIfDisposed();
    requireSessions(this.#core.parts, "restoreSession");
    const input =
      source instanceof Blob ? blobInput(source) : await this.#paths("restoreSession").open(source);
    try {
      return await restoreSession(this.#core, input, options);
    } finally {
      await input.close();
    }
  }

  #paths(what: string): SessionFiles {
    if (this.#sessionFiles) return this.#sessionFiles;
    throw new GlimtError("OPTION_INVALID", `${what}: there are no files here; sessions are Blobs.`);
  }

  /**
   * The features of each image, to be kept and given in place of the image later:
   * `{ type: "image", image: embeddings }` is answered as the image itself is.
   *
   * @throws IMAGE_INVALID, IMAGE_TOO_LARGE, SOURCE_REFUSED, SOURCE_TOO_LARGE, TIMED_OUT, OUT_OF_MEMORY, ABORTED, DISPOSED
   */
  async encodeImages(images: readonly ImageSource[], given?: EncodeOptions): Promise<ImageEmbeddings[]> {
    const options = readOptions(given, "encodeImages", ENCODE_OPTION_NAMES);
    const list = sourceList(images, "images");
    this.#core.throwIfDisposed();
    const media: ProcessedMedia[] = [];
    const { sources, signal } = options;
    const read = async () => {
      for (const image of list) media.push(await this.#processor.readImage(image, { sources, signal }));
      return media;
    };
    const features = await encodeMedia(this.#core, read, options);
    return media.map(({ gridThw }, index) => ({ embeddings: features[index] as Float32Array, gridThw }));
  }

  /** The features of each video with their timestamps, as `encodeImages`. @throws VIDEO_INVALID and what it throws */
  async encodeVideos(videos: readonly VideoSource[], given?: EncodeOptions): Promise<VideoEmbeddings[]> {
    const options = readOptions(given, "encodeVideos", ENCODE_OPTION_NAMES);
    const list = sourceList(videos, "videos");
    this.#core.throwIfDisposed();
    const media: ProcessedMedia[] = [];
    const { sources, signal } = options;
    const read = async () => {
      for (const video of list) media.push(await this.#processor.readVideo(video, { sources, signal }));
      return media;
    };
    const features = await encodeMedia(this.#core, read, options);
    return media.map(({ gridThw, labels }, index) => ({
      embeddings: features[index] as Float32Array,
      gridThw,
      labels,
    }));
  }

  /**
   * Gives back memory that is kept to be used again: the arena of runs, free pages of the KV cache beyond those taken at
   * load. What requests under way hold stays, and the next run takes again what it needs. WebAssembly's memory never gets
   * smaller: what is given back there is used again by this model, and the process has it back after `dispose`.
   *
   * @throws DISPOSED
   */
  trimMemory(): Promise<void> {
    return this.#core.trimMemory();
  }

  /** Frees everything; generations under way end with DISPOSED. May be called again. */
  dispose(): Promise<void> {
    return this.#core.dispose();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }
}

function isTensors(prompt: Prompt): prompt is PromptInputs | EmbeddedPrompt {
  if (typeof prompt !== "object" || prompt === null) return false;
  return readOnce("prompt", () => "inputIds" in prompt || "promptEmbeddings" in prompt);
}

const PLANNED = ["images", "videos", "text", "textTokens", "maxTokens"];

function readPlanned(given: RequestSizes & { readonly maxTokens?: number }) {
  const read = readOptions(
    given ?? (null as never),
    "sizes",
    PLANNED,
    { maxTokens: "number" },
    "INPUT_INVALID",
  );
  const { maxTokens = 1 } = read;
  if (Number.isInteger(maxTokens) && maxTokens >= 1) return read;
  throw new GlimtError("OPTION_INVALID", `maxTokens is ${maxTokens}, expected a whole number from 1.`);
}

function sourceList<T>(value: readonly T[], name: string): T[] {
  if (readOnce(name, () => Array.isArray(value))) return readList(value, name);
  throw new GlimtError("INPUT_INVALID", `${name} must be a list, found ${shown(value)}.`);
}

/** What a prompt of tensors was made by is settled. @throws OPTION_INVALID for options that would do nothing */
function refuseProcessOptions(options: GenerateOptions & ProcessOptions): void {
  const shared: readonly string[] = GENERATE_OPTION_NAMES;
  const name = PROCESS_OPTION_NAMES.find((key) => options[key] !== undefined && !shared.includes(key));
  if (name === undefined) return;
  throw new GlimtError(
    "OPTION_INVALID",
    `${name} has no effect on a prompt that is tensors already: give it to process, which makes them of messages.`,
  );
}

function processOptions(options: GenerateOptions & ProcessOptions): ProcessOptions {
  return Object.fromEntries(
    PROCESS_OPTION_NAMES.flatMap((name) => (options[name] === undefined ? [] : [[name, options[name]]])),
  );
}
