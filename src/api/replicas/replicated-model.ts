/** Several models of one checkpoint that answer as one. */
import { GlimtError } from "../../errors.ts";
import type { ImageSource } from "../../media/source.ts";
import type { VideoSource } from "../../media/video-source.ts";
import type { ImageEmbeddings, VideoEmbeddings } from "../../prompt/media-embeddings.ts";
import type { Message, ProcessOptions } from "../../prompt/process-options.ts";
import type { ProcessedInputs } from "../../prompt/processed-inputs.ts";
import type { RequestSizes } from "../../prompt/request-counts.ts";
import type { RequestPlan } from "../../runtime/request-plan.ts";
import type { AdapterSource } from "../../serving/adapter-options.ts";
import type { EncodeOptions } from "../../serving/encode-media.ts";
import type { GenerateOptions } from "../../serving/generation-options.ts";
import { GenerationRun } from "../../serving/run.ts";
import type { GenerationEvent, GenerationResult } from "../../serving/run-result.ts";
import type { RestoreSessionOptions, SessionFacts } from "../../serving/session/session.ts";
import type { ModelStatistics } from "../../serving/statistics.ts";
import type { LoadAdapterOptions, Model, PlannedSizes, Prompt, SaveSessionOptions } from "../model.ts";
import { chooseReplica, ReplicaLoad } from "./choose-replica.ts";
import { NO_KEYS, type PromptKeys, promptKeys } from "./prompt-keys.ts";
import { addedStatistics } from "./statistics.ts";

/** After these a replica answers nothing any more; other errors are of a request alone. */
const LOST = ["DEVICE_FAILED", "DISPOSED", "GROUP_FAILED"];

interface Replica {
  readonly model: Model;
  readonly load: ReplicaLoad;
}

/**
 * A request goes to the replica that has computed the longest beginning of its prompt, or else to the one with least to do.
 * One that fails is left out: its requests that had no token yet are asked of another, and the others end with its error.
 */
export class ReplicatedModel implements Model {
  readonly dtype: Model["dtype"];
  readonly config: Model["config"];
  readonly processorConfig: Model["processorConfig"];
  readonly refusedBackends: Model["refusedBackends"];
  readonly loadMilliseconds: number;
  readonly loaded: Model["loaded"];
  readonly canThink: boolean;
  readonly readsAnySource: boolean;
  readonly backend: Model["backend"];
  /** Those that answer. */
  readonly #replicas: Replica[];
  /** What the first one that was lost was lost by. */
  #lostBy: unknown = null;
  #disposal: Promise<void> | null = null;

  /** @param models of one checkpoint, loaded alike; at least one */
  constructor(models: readonly Model[]) {
    const [first] = models as [Model, ...Model[]];
    this.dtype = first.dtype;
    this.config = first.config;
    this.processorConfig = first.processorConfig;
    this.refusedBackends = first.refusedBackends;
    this.loaded = first.loaded;
    this.canThink = first.canThink;
    this.readsAnySource = first.readsAnySource;
    const { backend } = first;
    this.backend = { ...backend, description: `${backend.description}; ${models.length} copies` };
    this.loadMilliseconds = models.reduce((sum, model) => sum + model.loadMilliseconds, 0);
    this.#replicas = models.map((model) => ({ model, load: new ReplicaLoad() }));
  }

  get liveBytes(): number {
    return this.#replicas.reduce((sum, { model }) => sum + model.liveBytes, 0);
  }

  get adapters(): Model["adapters"] {
    return this.#replicas[0]?.model.adapters ?? [];
  }

  /** Those of the replicas that answer, added up. */
  stats(): ModelStatistics {
    return addedStatistics(this.#all().map((model) => model.stats()));
  }

  /** By every replica, or by none. */
  async loadAdapter(source: AdapterSource, options?: LoadAdapterOptions): Promise<void> {
    const models = this.#all();
    const loaded = await Promise.allSettled(models.map((model) => model.loadAdapter(source, options)));
    const failed = loaded.find((one) => one.status === "rejected");
    if (!failed) return;
    const has = models.filter((_, index) => loaded[index]?.status === "fulfilled");
    await Promise.allSettled(has.map((model) => model.unloadAdapter(source.name)));
    throw failed.reason;
  }

  async unloadAdapter(name: string): Promise<void> {
    await this.#each((model) => model.unloadAdapter(name));
  }

  process(messages: readonly Message[], options?: ProcessOptions): Promise<ProcessedInputs> {
    return this.#idle().process(messages, options);
  }

  plan(sizes: PlannedSizes): Promise<RequestPlan> {
    return this.#idle().plan(sizes);
  }

  tokenize(...given: Parameters<Model["tokenize"]>): Promise<number[]> {
    return this.#idle().tokenize(...given);
  }

  detokenize(...given: Parameters<Model["detokenize"]>): Promise<string> {
    return this.#idle().detokenize(...given);
  }

  async warmUp(sizes?: RequestSizes): Promise<void> {
    await this.#each((model) => model.warmUp(sizes));
  }

  generate(prompt: Prompt, options?: GenerateOptions & ProcessOptions): GenerationRun {
    return new GenerationRun((stop, abort) => this.#events(prompt, options, stop, abort));
  }

  complete(prompt: Prompt, options?: GenerateOptions & ProcessOptions): Promise<GenerationResult> {
    return this.generate(prompt, options).result;
  }

  /** Of the replica that has most of the prompt. */
  saveSession(
    prompt: Prompt,
    options: SaveSessionOptions & { readonly path: string | URL },
  ): Promise<SessionFacts>;
  saveSession(prompt: Prompt, options?: SaveSessionOptions): Promise<SessionFacts & { readonly blob: Blob }>;
  async saveSession(
    prompt: Prompt,
    options?: SaveSessionOptions,
  ): Promise<SessionFacts & { readonly blob: Blob }> {
    return this.#choose(promptKeys(prompt, options)).model.saveSession(prompt, options);
  }

  /** By every replica, so that whoever is asked goes on behind it. */
  async restoreSession(source: Blob | string | URL, options?: RestoreSessionOptions): Promise<SessionFacts> {
    const [facts] = await this.#each((model) => model.restoreSession(source, options));
    return facts as SessionFacts;
  }

  async encodeImages(images: readonly ImageSource[], options?: EncodeOptions): Promise<ImageEmbeddings[]> {
    return this.#idle().encodeImages(images, options);
  }

  async encodeVideos(videos: readonly VideoSource[], options?: EncodeOptions): Promise<VideoEmbeddings[]> {
    return this.#idle().encodeVideos(videos, options);
  }

  async trimMemory(): Promise<void> {
    await this.#each((model) => model.trimMemory());
  }

  /** Frees every replica. May be called again. */
  dispose(): Promise<void> {
    const models = this.#replicas.splice(0).map(({ model }) => model);
    this.#lostBy = new GlimtError("DISPOSED", "The model was disposed of.");
    this.#disposal ??= Promise.all(models.map((model) => model.dispose())).then(() => undefined);
    return this.#disposal;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  async *#events(
    prompt: Prompt,
    options: (GenerateOptions & ProcessOptions) | undefined,
    stop: AbortController,
    abortRun: (reason: unknown) => void,
  ): AsyncGenerator<GenerationEvent, GenerationResult, void> {
    const keys = promptKeys(prompt, options);
    for (;;) {
      const replica = this.#choose(keys);
      const request = replica.load.take(keys);
      const run = replica.model.generate(prompt, options);
      const abort = () => run.abort(stop.signal.reason);
      stop.signal.addEventListener("abort", abort, { once: true });
      if (stop.signal.aborted) abort();
      let hasBegun = false;
      try {
        for (;;) {
          const next = await run.next();
          if (next.done) return next.value;
          hasBegun = true;
          request.read();
          yield next.value;
        }
      } catch (error) {
        if (error instanceof GlimtError && error.code === "ABORTED") abortRun(error.cause);
        const isLost = this.#loseBy(replica, error);
        if (!isLost || hasBegun || this.#replicas.length === 0) throw error;
      } finally {
        stop.signal.removeEventListener("abort", abort);
        request.end();
        await run.return();
      }
    }
  }

  /** @throws what they were lost by when there are none */
  #all(): Model[] {
    if (this.#replicas.length === 0) throw this.#lostBy;
    return this.#replicas.map(({ model }) => model);
  }

  #each<T>(task: (model: Model) => Promise<T>): Promise<T[]> {
    return Promise.all(this.#all().map(task));
  }

  #choose(keys: PromptKeys): Replica {
    this.#all();
    return this.#replicas[
      chooseReplica(
        this.#replicas.map(({ load }) => load),
        keys,
      )
    ] as Replica;
  }

  /** The one with least to do. */
  #idle(): Model {
    return this.#choose(NO_KEYS).model;
  }

  /** Leaves out a replica that such an error ends. @returns whether it does */
  #loseBy(replica: Replica, error: unknown): boolean {
    if (!(error instanceof GlimtError) || !LOST.includes(error.code)) return false;
    const index = this.#replicas.indexOf(replica);
    if (index < 0) return true;
    this.#replicas.splice(index, 1);
    this.#lostBy ??= error;
    // What it held is free then; that it can not be freed says no more than that it is lost.
    replica.model.dispose().catch(() => undefined);
    return true;
  }
}
