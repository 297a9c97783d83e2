/** A model whose engine runs in this thread. */
/// <reference lib="esnext.disposable" preserve="true" />
import type { BackendName } from "../backends/backend.ts";
import type { ModelConfig, ProcessorConfig } from "../config/types.ts";
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
  checkAttention,
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
import { ThinkingTokens } from "../serving/thinking.ts";
import type { WeightFormat } from "../tensor/storage.ts";
import type { DecodeOptions } from "../text/tokenizer.ts";
import type {
  LoadAdapterOptions,
  LoadedWeights,
  Model,
  ModelBackend,
  PlannedSizes,
  Prompt,
  SaveSessionOptions,
  TokenizeOptions,
} from "./model.ts";

const SESSION_OPTION_NAMES = ["cacheSalt", "speculation", "path", ...PROCESS_OPTION_NAMES];
const OPTION_KINDS = { ...GENERATE_OPTION_KINDS, ...PROCESS_OPTION_KINDS };
const ALL_OPTION_NAMES = [...GENERATE_OPTION_NAMES, ...PROCESS_OPTION_NAMES];

/** What is known of a model once it is loaded. */
export interface ModelFacts {
  readonly dtype: WeightFormat;
  readonly refused: readonly { readonly backend: BackendName; readonly reason: string }[];
  readonly loadMilliseconds: number;
  readonly loaded: LoadedWeights;
  /** Of where it runs, beside those of its engine. */
  readonly limits: readonly string[];
}

export class LoadedModel implements Model {
  readonly dtype: WeightFormat;
  readonly config: ModelConfig;
  readonly processorConfig: ProcessorConfig;
  readonly refusedBackends: ModelFacts["refused"];
  readonly loadMilliseconds: number;
  readonly loaded: LoadedWeights;
  readonly #core: ModelCore;
  readonly #processor: Processor;
  readonly #limits: readonly string[];
  readonly #sessionFiles: SessionFiles | undefined;

  /** Use `loadModel`. */
  constructor(core: ModelCore, processor: Processor, facts: ModelFacts, sessionFiles?: SessionFiles) {
    this.#core = core;
    this.#processor = processor;
    this.#sessionFiles = sessionFiles;
    this.dtype = facts.dtype;
    this.config = processor.checkpoint.config;
    this.processorConfig = processor.checkpoint.processor;
    this.refusedBackends = facts.refused;
    this.loadMilliseconds = facts.loadMilliseconds;
    this.loaded = facts.loaded;
    this.#limits = facts.limits;
  }

  get backend(): ModelBackend {
    const { backend, report } = this.#core.parts.engine;
    return { name: backend.name, ...report, limits: [...report.limits, ...this.#limits] };
  }

  get liveBytes(): number {
    return this.#core.parts.engine.liveBytes;
  }

  stats(): ModelStatistics {
    this.#core.throwIfDisposed();
    return modelStatistics(this.#core);
  }

  get canThink(): boolean {
    const { open, close } = new ThinkingTokens(this.#core.parts.tokenizer);
    return open !== null && close !== null;
  }

  get readsAnySource(): boolean {
    return this.#processor.readsAnySource;
  }

  get adapters(): readonly AdapterFacts[] {
    return this.#core.adapters.facts;
  }

  async loadAdapter(source: AdapterSource, options?: LoadAdapterOptions): Promise<void> {
    const { signal } = readOptions(options, "loadAdapter", ["signal"]);
    this.#core.throwIfDisposed();
    await this.#core.adapters.load(source, signal);
  }

  async unloadAdapter(name: string): Promise<void> {
    this.#core.throwIfDisposed();
    await this.#core.adapters.unload(name);
  }

  async process(messages: readonly Message[], options: ProcessOptions = {}): Promise<ProcessedInputs> {
    this.#core.throwIfDisposed();
    return this.#processor.process(messages, options);
  }

  async tokenize(text: string, given?: TokenizeOptions): Promise<number[]> {
    const options = readOptions(given, "tokenize", ["addSpecialTokens", "signal"], {
      addSpecialTokens: "boolean",
    });
    this.#core.throwIfDisposed();
    return this.#core.parts.tokenizer.encodeWithTurns(text, options);
  }

  async detokenize(ids: readonly number[], options?: DecodeOptions): Promise<string> {
    this.#core.throwIfDisposed();
    return this.#core.parts.tokenizer.decode(ids, options);
  }

  async plan(given: PlannedSizes): Promise<RequestPlan> {
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

  async warmUp(sizes?: RequestSizes): Promise<void> {
    this.#core.throwIfDisposed();
    const largest = () => {
      const { resizedWidth: width, resizedHeight: height } =
        this.#processor.sizes.imageSizeWithMostFeatures();
      return { images: [{ width, height }] };
    };
    await this.complete(this.#processor.sizes.dummyInputs(sizes ?? largest()), { maxTokens: 1 });
  }

  generate(prompt: Prompt, options?: GenerateOptions & ProcessOptions): GenerationRun {
    return new GenerationRun((stop, abort) => this.#events("generate", prompt, options, stop, abort));
  }

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
    abort?: (reason: unknown) => void,
  ): AsyncGenerator<GenerationEvent, GenerationResult, void> {
    const read = readOptions(given, method, ALL_OPTION_NAMES, OPTION_KINDS);
    this.#core.throwIfDisposed();
    // The call's own, of which many may have one signal.
    const asked = AbortSignal.any(read.signal ? [read.signal] : []);
    const options = { ...read, signal: AbortSignal.any([asked, stop.signal]) };
    if (method === "complete" && options.attention) {
      throw new GlimtError(
        "OPTION_INVALID",
        "attention comes with the events of an answer, and complete has none: use generate.",
      );
    }
    const onAbort = () => abort?.(asked.reason);
    asked.addEventListener("abort", onAbort);
    try {
      const choices = await this.#choices(prompt, options);
      return yield* mergedChoices(choices, stop);
    } finally {
      asked.removeEventListener("abort", onAbort);
    }
  }

  async #choices(prompt: Prompt, options: GenerateOptions & ProcessOptions): Promise<OpenedChoices> {
    const { parts, adapters } = this.#core;
    // First: reading pictures may take long.
    const resolved = resolveGeneration(options, parts.generation, {
      ...this.config.text,
      tokenizer: parts.tokenizer,
    });
    checkAttention(resolved, parts.tellsAttention);
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

  trimMemory(): Promise<void> {
    return this.#core.trimMemory();
  }

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

function readPlanned(given: PlannedSizes) {
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
