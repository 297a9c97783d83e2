/** One model as the AI SDK takes it. */
import type { Model } from "../api/model.ts";
import { GlimtError, unlessAborted } from "../errors.ts";
import { readOptions, shown } from "../given.ts";
import { PUBLIC_SOURCES, type Sources } from "../media/sources/source-rule.ts";
import type { GenerationRun } from "../serving/run.ts";
import { AnswerStream } from "./answer-stream.ts";
import type {
  AnswerContent,
  CallOptions,
  GenerateAnswer,
  GlimtLanguageModel,
  ResponseFacts,
  StreamPart,
} from "./contract.ts";
import { callError } from "./errors.ts";
import { SUPPORTED_URLS } from "./files.ts";
import { FAILED, NOT_COUNTED } from "./outcome.ts";
import { requestOf } from "./request.ts";

/** What answers: a loaded model, or what has its methods. */
export type AnsweringModel = Pick<Model, "generate" | "config" | "canThink" | "readsAnySource">;

/** A model, or what loads one: it is called with the first request, and again after it failed. */
export type ModelSource = AnsweringModel | (() => AnsweringModel | PromiseLike<AnsweringModel>);

/** How a model is known to the AI SDK, and what prompts may read. */
export interface LanguageModelSettings {
  /** The name by which the AI SDK tells of it. Default: "glimt". */
  readonly modelId?: string | undefined;
  /**
   * Where addresses in prompts may lead. Default: the rule that the model was loaded with; where it was loaded with none (or
   * "any") public hosts, since prompts of the AI SDK are mostly those of users.
   */
  readonly sources?: Sources | undefined;
}

const SETTING_NAMES = ["modelId", "sources"] as const;

/**
 * A model for `generateText({ model, … })` and its kin. Defaults are glimt's: without a temperature the most probable token is
 * taken, and an answer has at most 2048 tokens.
 *
 * @throws OPTION_INVALID
 */
export function languageModel(model: ModelSource, settings?: LanguageModelSettings): GlimtLanguageModel {
  const { modelId = "glimt", sources } = readOptions(settings, "languageModel", SETTING_NAMES, {
    modelId: "string",
  });
  return new LanguageModel(modelOpener(model, "languageModel"), modelId, sources);
}

/** @param what the model is given to, for errors. @throws OPTION_INVALID */
export function modelOpener(source: ModelSource, what: string): () => Promise<AnsweringModel> {
  let opened: Promise<AnsweringModel> | undefined;
  const open = async () => checkedModel(typeof source === "function" ? await source() : source, what);
  if (typeof source !== "function") checkedModel(source, what);
  return () => {
    opened ??= open().catch((error) => {
      opened = undefined;
      throw error;
    });
    return opened;
  };
}

function checkedModel(model: AnsweringModel, what: string): AnsweringModel {
  if (typeof model?.generate === "function") return model;
  throw new GlimtError(
    "OPTION_INVALID",
    `${what}: expected a model of loadModel, or a function that gives one, found ${shown(model)}.`,
  );
}

class LanguageModel implements GlimtLanguageModel {
  readonly specificationVersion = "v4";
  readonly provider = "glimt";
  readonly modelId: string;
  readonly supportedUrls: Record<string, RegExp[]> = Object.fromEntries(
    Object.entries(SUPPORTED_URLS).map(([type, patterns]) => [type, [...patterns]]),
  );
  readonly #open: () => Promise<AnsweringModel>;
  readonly #sources: Sources | undefined;

  constructor(open: () => Promise<AnsweringModel>, modelId: string, sources: Sources | undefined) {
    this.#open = open;
    this.modelId = modelId;
    this.#sources = sources;
  }

  async doGenerate(call: CallOptions): Promise<GenerateAnswer> {
    try {
      const { run, warnings } = await this.#begin(call);
      const response = this.#response();
      const answer = new AnswerStream();
      const content: AnswerContent[] = [];
      for (;;) {
        const { value, done } = await run.next();
        const parts = done ? answer.end(value) : answer.push(value);
        for (const part of parts) {
          addContent(content, part);
          if (part.type !== "finish") continue;
          const { finishReason, usage, providerMetadata = {} } = part;
          return { content, finishReason, usage, providerMetadata, response, warnings };
        }
      }
    } catch (error) {
      throw callError(error, call.abortSignal);
    }
  }

  /** What is wrong with the request is thrown here: the stream is there with the first token. */
  async doStream(call: CallOptions): Promise<{ stream: ReadableStream<StreamPart> }> {
    try {
      const { run, warnings } = await this.#begin(call);
      const first = await run.next();
      const head: StreamPart[] = [
        { type: "stream-start", warnings },
        { type: "response-metadata", ...this.#response() },
      ];
      return { stream: partStream(run, first, head, call) };
    } catch (error) {
      throw callError(error, call.abortSignal);
    }
  }

  async #begin(call: CallOptions) {
    // Loading goes on for other calls.
    const model = await unlessAborted(this.#open(), call.abortSignal);
    const { messages, options, warnings } = requestOf(call, {
      canThink: model.canThink,
      context: model.config.text.maxPositionEmbeddings,
      sources: this.#sources ?? (model.readsAnySource ? PUBLIC_SOURCES : undefined),
    });
    return { run: model.generate(messages, options), warnings };
  }

  #response(): ResponseFacts {
    const bytes = crypto.getRandomValues(new Uint8Array(12));
    const id = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
    return { id: `glimt-${id}`, timestamp: new Date(), modelId: this.modelId };
  }
}

/** Blocks as wholes. */
function addContent(content: AnswerContent[], part: StreamPart): void {
  if (part.type === "text-start") content.push({ type: "text", text: "" });
  else if (part.type === "reasoning-start") content.push({ type: "reasoning", text: "" });
  else if (part.type === "tool-call") content.push(part);
  else if (part.type === "text-delta" || part.type === "reasoning-delta") {
    (content.at(-1) as { text: string }).text += part.delta;
  }
}

type Step = Awaited<ReturnType<GenerationRun["next"]>>;

/** The run goes on as the stream is read, and ends with it. */
function partStream(
  run: GenerationRun,
  first: Step,
  head: readonly StreamPart[],
  { includeRawChunks, abortSignal }: CallOptions,
): ReadableStream<StreamPart> {
  const answer = new AnswerStream();
  let ahead: Step | null = first;
  return new ReadableStream<StreamPart>({
    start(controller) {
      for (const part of head) controller.enqueue(part);
    },
    async pull(controller) {
      try {
        // Until there is something to read: a pull that gives nothing is not asked again.
        for (let isEmpty = true; isEmpty; ) {
          const { value, done }: Step = ahead ?? (await run.next());
          ahead = null;
          if (includeRawChunks && !done) controller.enqueue({ type: "raw", rawValue: value });
          const parts = done ? answer.end(value) : answer.push(value);
          for (const part of parts) controller.enqueue(part);
          isEmpty = parts.length === 0 && !includeRawChunks;
          if (done) controller.close();
        }
      } catch (error) {
        if (abortSignal?.aborted) return controller.error(callError(error, abortSignal));
        controller.enqueue({ type: "error", error: callError(error, abortSignal) });
        controller.enqueue({ type: "finish", finishReason: FAILED, usage: NOT_COUNTED });
        controller.close();
      }
    },
    async cancel() {
      await run.return();
    },
  });
}
