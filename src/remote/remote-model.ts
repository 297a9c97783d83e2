/** A model whose engine is in a worker. */
/// <reference lib="esnext.disposable" preserve="true" />
import type {
  LoadAdapterOptions,
  LoadedWeights,
  Model,
  ModelBackend,
  PlannedSizes,
  Prompt,
  SaveSessionOptions,
  TokenizeOptions,
} from "../api/model.ts";
import type { ModelConfig, ProcessorConfig } from "../config/types.ts";
import { GlimtError } from "../errors.ts";
import { readOnce } from "../given.ts";
import type { ImageSource } from "../media/source.ts";
import type { VideoSource } from "../media/video-source.ts";
import type { ImageEmbeddings, VideoEmbeddings } from "../prompt/media-embeddings.ts";
import type { Message, ProcessOptions } from "../prompt/process-options.ts";
import type { ProcessedInputs } from "../prompt/processed-inputs.ts";
import type { RequestSizes } from "../prompt/request-counts.ts";
import type { RequestPlan } from "../runtime/request-plan.ts";
import type { AdapterSource } from "../serving/adapter-options.ts";
import type { AdapterFacts } from "../serving/adapters.ts";
import type { EncodeOptions } from "../serving/encode-media.ts";
import type { GenerateOptions } from "../serving/generation-options.ts";
import { GenerationRun } from "../serving/run.ts";
import type { GenerationEvent, GenerationResult } from "../serving/run-result.ts";
import type { RestoreSessionOptions, SessionFacts } from "../serving/session/session.ts";
import type { ModelStatistics } from "../serving/statistics.ts";
import type { WeightFormat } from "../tensor/storage.ts";
import type { DecodeOptions } from "../text/tokenizer.ts";
import type { Loaded, ModelConnection } from "./connection.ts";
import { type SentInputs, withJoinedPixels } from "./processed.ts";
import type { Called, RemoteState } from "./protocol.ts";
import type { RunInbox } from "./run-inbox.ts";

type AnswerOptions = GenerateOptions & ProcessOptions;

/** Ends runs that nobody can reach any more, so that the worker does not hold what they hold. */
const forgotten = new FinalizationRegistry<RunInbox>((inbox) => inbox.abort());

/** Models with a call under way: it is answered, though nobody holds the model. */
const answering = new Set<{ readonly model: RemoteModel }>();

/** A model of the worker's: what is here must not hold the `RemoteModel` that callers have. */
interface Place {
  readonly connection: ModelConnection;
  readonly number: number;
  state: RemoteState;
  /** Why it can not be used any more. */
  gone: GlimtError | undefined;
  /** Taken when it needs the worker no longer. */
  release: (() => void) | undefined;
}

/** Disposes of models that nobody can reach any more: their memory is the worker's, where nothing collects it. */
const dropped = new FinalizationRegistry<Place>((place) => {
  disposeOf(place).catch(() => undefined);
});

export class RemoteModel implements Model {
  readonly dtype: WeightFormat;
  readonly config: ModelConfig;
  readonly processorConfig: ProcessorConfig;
  readonly refusedBackends: Model["refusedBackends"];
  readonly loadMilliseconds: number;
  readonly loaded: LoadedWeights;
  readonly canThink: boolean;
  readonly readsAnySource: boolean;
  readonly #place: Place;
  #disposing: Promise<void> | undefined;

  /** @param release called once, when it needs the worker no longer */
  constructor(connection: ModelConnection, number: number, { facts, state }: Loaded, release: () => void) {
    const place: Place = { connection, number, state, gone: undefined, release };
    this.#place = place;
    this.dtype = facts.dtype;
    this.config = facts.config;
    this.processorConfig = facts.processorConfig;
    this.refusedBackends = facts.refusedBackends;
    this.loadMilliseconds = facts.loadMilliseconds;
    this.loaded = facts.loaded;
    this.canThink = facts.canThink;
    this.readsAnySource = facts.readsAnySource;
    connection.listen(number, {
      hear: (state) => {
        place.state = state;
      },
      lose: (error) => {
        place.gone ??= error;
        leave(place);
      },
    });
    dropped.register(this, place, place);
  }

  get backend(): ModelBackend {
    return this.#place.state.backend;
  }

  get liveBytes(): number {
    return this.#place.state.liveBytes;
  }

  get adapters(): readonly AdapterFacts[] {
    return this.#place.state.adapters;
  }

  stats(): ModelStatistics {
    if (this.#place.gone) throw this.#place.gone;
    return this.#place.state.stats as ModelStatistics;
  }

  async loadAdapter(source: AdapterSource, options?: LoadAdapterOptions): Promise<void> {
    await this.#call("loadAdapter", source, options);
  }

  async unloadAdapter(name: string): Promise<void> {
    await this.#call("unloadAdapter", name);
  }

  async process(messages: readonly Message[], options?: ProcessOptions): Promise<ProcessedInputs> {
    const sent = (await this.#call("process", messages, options)) as SentInputs;
    return withJoinedPixels(sent, this.config.vision.spatialMergeSize);
  }

  tokenize(text: string, options?: TokenizeOptions): Promise<number[]> {
    return this.#call("tokenize", text, options) as Promise<number[]>;
  }

  detokenize(ids: readonly number[], options?: DecodeOptions): Promise<string> {
    return this.#call("detokenize", ids, options) as Promise<string>;
  }

  plan(sizes: PlannedSizes): Promise<RequestPlan> {
    return this.#call("plan", sizes) as Promise<RequestPlan>;
  }

  async warmUp(sizes?: RequestSizes): Promise<void> {
    await this.#call("warmUp", sizes);
  }

  generate(prompt: Prompt, options?: AnswerOptions): GenerationRun {
    return new GenerationRun((stop, abort) => {
      const events = this.#events(prompt, options, stop.signal, abort, (inbox) =>
        forgotten.register(events, inbox, inbox),
      );
      return events;
    });
  }

  async *#events(
    prompt: Prompt,
    options: AnswerOptions | undefined,
    stop: AbortSignal,
    abort: (reason: unknown) => void,
    onOpen: (inbox: RunInbox) => void,
  ): AsyncGenerator<GenerationEvent, GenerationResult, void> {
    if (this.#place.gone) throw this.#place.gone;
    const { connection, number } = this.#place;
    const inbox = connection.run(number, [toSend(prompt), options], abort);
    onOpen(inbox);
    const leave = () => inbox.abort();
    stop.addEventListener("abort", leave);
    try {
      for (;;) {
        const next = await inbox.next();
        if (next.done) return next.value;
        yield next.value;
      }
    } finally {
      stop.removeEventListener("abort", leave);
      forgotten.unregister(inbox);
      await inbox.close();
    }
  }

  complete(prompt: Prompt, options?: AnswerOptions): Promise<GenerationResult> {
    return this.#call("complete", toSend(prompt), options) as Promise<GenerationResult>;
  }

  saveSession(
    prompt: Prompt,
    options: SaveSessionOptions & { readonly path: string | URL },
  ): Promise<SessionFacts>;
  saveSession(prompt: Prompt, options?: SaveSessionOptions): Promise<SessionFacts & { readonly blob: Blob }>;
  saveSession(prompt: Prompt, options?: SaveSessionOptions): Promise<SessionFacts & { readonly blob: Blob }> {
    return this.#call("saveSession", toSend(prompt), options) as Promise<
      SessionFacts & { readonly blob: Blob }
    >;
  }

  restoreSession(source: Blob | string | URL, options?: RestoreSessionOptions): Promise<SessionFacts> {
    return this.#call("restoreSession", source, options) as Promise<SessionFacts>;
  }

  encodeImages(images: readonly ImageSource[], options?: EncodeOptions): Promise<ImageEmbeddings[]> {
    return this.#call("encodeImages", images, options) as Promise<ImageEmbeddings[]>;
  }

  encodeVideos(videos: readonly VideoSource[], options?: EncodeOptions): Promise<VideoEmbeddings[]> {
    return this.#call("encodeVideos", videos, options) as Promise<VideoEmbeddings[]>;
  }

  async trimMemory(): Promise<void> {
    await this.#call("trimMemory");
  }

  dispose(): Promise<void> {
    dropped.unregister(this.#place);
    this.#disposing ??= disposeOf(this.#place);
    return this.#disposing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  async #call(method: Called, ...args: readonly unknown[]): Promise<unknown> {
    const { gone, connection, number } = this.#place;
    if (gone) throw gone;
    const call = { model: this };
    answering.add(call);
    try {
      return await connection.call(number, method, args);
    } finally {
      answering.delete(call);
    }
  }
}

async function disposeOf(place: Place): Promise<void> {
  const wasLost = place.gone !== undefined;
  const disposed = new GlimtError("DISPOSED", "The model was disposed; load it again to use it.");
  place.gone = disposed;
  if (wasLost) return;
  try {
    await place.connection.call(place.number, "dispose", []);
  } finally {
    place.connection.forget(place.number, disposed);
    leave(place);
  }
}

/** What it held is free, or gone with the worker. */
function leave(place: Place): void {
  place.state = { ...place.state, liveBytes: 0, stats: null };
  place.release?.();
  place.release = undefined;
}

/** Joining the pixels of a prompt's items would cost a copy that nobody reads. */
function toSend(prompt: Prompt): unknown {
  if (typeof prompt !== "object" || prompt === null || Array.isArray(prompt)) return prompt;
  const hasItems = () => "visionItems" in prompt && (prompt.visionItems ?? null) !== null;
  if (!readOnce("prompt", hasItems)) return prompt;
  const {
    pixelValues: _,
    pixelValuesVideos: __,
    ...fields
  } = Object.getOwnPropertyDescriptors(prompt) as {
    pixelValues?: PropertyDescriptor;
    pixelValuesVideos?: PropertyDescriptor;
  };
  return Object.defineProperties({}, fields);
}
