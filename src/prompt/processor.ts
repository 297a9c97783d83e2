/** The processor: a conversation with pictures in, everything the model is given out. Runs no model. */
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import { GlimtError } from "../errors.ts";
import { readOptions, readPlain } from "../given.ts";
import type { ToolCallFormat } from "../grammar/tool-calls.ts";
import {
  expandPlaceholders,
  mmTokenTypeIds,
  type VideoLayout,
  type VideoPlaceholder,
} from "../processor/placeholders.ts";
import { type ChatTemplate, loadChatTemplate, type RenderOptions } from "../text/chat-template.ts";
import { checkVideoChoices, normaliseMessages, type TemplateMessage } from "../text/messages.ts";
import { asMarked, plainTexts, withoutMarks } from "../text/plain-text.ts";
import { loadTokenizer, type Tokenizer } from "../text/tokenizer.ts";
import { readTokenizerConfig } from "../text/tokenizer-config.ts";
import { readTools, withParsedCalls } from "../text/tool-data.ts";
import { contextOverflow } from "./context-overflow.ts";
import { layOutPrompt } from "./layout.ts";
import type { MediaAccess } from "./media-access.ts";
import {
  checkCounts,
  type MediaLimits,
  type MediaOptions,
  type MediaRules,
  resolveMedia,
} from "./media-options.ts";
import { checkMediaOrder } from "./media-order.ts";
import { type FindKnown, MediaReader } from "./media-reader.ts";
import {
  checkProcessOptions,
  type Message,
  PROCESS_OPTION_KINDS,
  PROCESS_OPTION_NAMES,
  type ProcessOptions,
  type PromptImage,
  type PromptVideo,
} from "./process-options.ts";
import {
  inPromptOrder,
  joinedPixels,
  mediaFacts,
  type ProcessedInputs,
  type ProcessedMedia,
  visionItem,
} from "./processed-inputs.ts";
import { numPrunedRows } from "./pruned-media.ts";
import { RequestSizer } from "./request-sizer.ts";
import { toolCallFormat } from "./tool-call-format.ts";
import { READ_VIDEO_OPTION_NAMES, type ReadOptions, type ReadVideoOptions } from "./video-choices.ts";

/** A checkpoint's tokenizer, chat template and picture processor: messages in, a prompt out. Runs no model. */
export class Processor {
  /** What it is of. */
  readonly checkpoint: Checkpoint;
  /** Its tokenizer. */
  readonly tokenizer: Tokenizer;
  /** Grids, tokens and limits by sizes alone. */
  readonly sizes: RequestSizer;
  readonly #template: ChatTemplate;
  /** The share of each video's tokens that is left out of prompts. */
  readonly videoPruning: number;
  /** Whether pictures and videos may be read from everywhere, where a call does not say otherwise. */
  readonly readsAnySource: boolean;
  readonly #limits: MediaLimits;
  readonly #media: MediaReader;

  private constructor(
    checkpoint: Checkpoint,
    tokenizer: Tokenizer,
    template: ChatTemplate,
    media: MediaAccess,
    rules: MediaRules,
  ) {
    this.checkpoint = checkpoint;
    this.tokenizer = tokenizer;
    this.#template = template;
    this.#limits = rules.limits;
    this.videoPruning = rules.videoPruning;
    this.readsAnySource = rules.sources.type === "any";
    this.#media = new MediaReader(checkpoint, media, rules);
    this.sizes = new RequestSizer(checkpoint, rules, (content, images, videos) => {
      const promptText = template.render([{ role: "user", content }], this.#renderOptions({}));
      const inputIds = tokenizer.encode(this.#expanded(promptText, images, videos));
      return this.#laidOut(promptText, inputIds, images, videos);
    });
  }

  /** Reads the tokenizer and template; no weights. @throws TOKENIZER_INVALID, TEMPLATE_INVALID, OPTION_INVALID, ABORTED @internal */
  static async open(
    checkpoint: Checkpoint,
    media: MediaAccess,
    options: MediaOptions,
    signal?: AbortSignal,
  ): Promise<Processor> {
    const rules = resolveMedia(options, checkpoint.processor);
    const { files } = checkpoint;
    const config = readTokenizerConfig(files, signal);
    const tokenizer = await loadTokenizer(files, signal, config);
    const template = await loadChatTemplate(files, signal, config);
    return new Processor(checkpoint, tokenizer, template, media, rules);
  }

  /**
   * @throws OPTION_INVALID, INPUT_INVALID, TEMPLATE_INVALID, IMAGE_INVALID, IMAGE_TOO_LARGE, VIDEO_INVALID,
   * CODEC_UNAVAILABLE, SOURCE_REFUSED, SOURCE_TOO_LARGE, TIMED_OUT, ABORTED
   */
  process(messages: readonly Message[], options?: ProcessOptions): Promise<ProcessedInputs> {
    return this.processFor(messages, options, Number.POSITIVE_INFINITY);
  }

  /**
   * As `process`, for a model that reads prompts of fewer than `context` tokens: text that has more is refused before any
   * picture is read, and pictures that have more before the next one is. @param known finds pictures and videos that are given by their names alone
   * @throws CONTEXT_OVERFLOW too
   * @internal
   */
  async processFor(
    messages: readonly Message[],
    given: ProcessOptions | undefined,
    context: number,
    known?: FindKnown,
  ): Promise<ProcessedInputs> {
    const read = readOptions(given, "process", PROCESS_OPTION_NAMES, PROCESS_OPTION_KINDS);
    const plain = (name: "tools" | "templateVariables") => readPlain(read[name], name, "OPTION_INVALID");
    const options = {
      ...read,
      tools: plain("tools") as ProcessOptions["tools"],
      templateVariables: plain("templateVariables") as ProcessOptions["templateVariables"],
    };
    checkProcessOptions(options);
    const start = performance.now();
    const chat = normaliseMessages(messages, this.#template.source);
    checkCounts(chat.images.length, chat.videos.length, this.#limits);
    const { rendered, mark } = this.#render(withParsedCalls(chat.messages), options);
    const promptText = withoutMarks(rendered, mark);
    const fewest = this.tokenizer.fewestTokens(promptText);
    if (fewest >= context) throw contextOverflow(`at least ${fewest}`, context, 0);
    const numMarkers = chat.images.length + chat.videos.length;
    const checkRoom = (features: number) => {
      const least = fewest - numMarkers + features;
      if (least >= context) throw contextOverflow(`at least ${least}`, context, features);
    };
    const { images, videos } = await this.#media.all(chat, options, checkRoom, known);
    const { videoLayout, signal } = options;
    const expanded = this.#expanded(rendered, images, videos, videoLayout);
    const inputIds = await this.tokenizer.encodeWithTurns(expanded, { signal, mark });
    const [imagePixels, videoPixels] = [joinedPixels(images), joinedPixels(videos)];
    const { media, ...laidOut } = this.#laidOut(rendered, inputIds, images, videos, videoLayout);
    const ordered = inPromptOrder(rendered, { [this.#imageToken]: images, [this.#videoToken]: videos });
    return {
      promptText,
      ...laidOut,
      get pixelValues() {
        return imagePixels();
      },
      get pixelValuesVideos() {
        return videoPixels();
      },
      tools: options.tools ?? null,
      visionItems: ordered.map(visionItem),
      media: media.map((placed, index) => mediaFacts(ordered[index] as ProcessedMedia, placed)),
      milliseconds: performance.now() - start,
    };
  }

  /** The prompt with one marker a picture or video, and with the marks of plain text when there are any. */
  #render(
    messages: readonly TemplateMessage[],
    options: ProcessOptions,
  ): { readonly rendered: string; readonly mark?: string } {
    const template = this.#template;
    const given = readTools(options.tools);
    if (options.specialTokensInText !== "text") {
      return { rendered: template.render(messages, this.#renderOptions(options, given)) };
    }
    const { addedTokens: tokens } = this.tokenizer;
    const plain = plainTexts(messages, given, { tokens, template: template.source });
    const { mark, tools } = plain;
    const rendered = template.render(plain.messages, this.#renderOptions(options, tools));
    return { rendered: asMarked(rendered, mark), mark };
  }

  /** How calls of tools are written in this checkpoint's conversations. @throws OPTION_INVALID when they are not @internal */
  toolCallFormat(): ToolCallFormat {
    return toolCallFormat((messages) =>
      this.#template.render(messages, this.#renderOptions({ continueFinalMessage: false })),
    );
  }

  #renderOptions(
    { enableThinking, continueFinalMessage, templateVariables }: ProcessOptions,
    tools?: readonly object[],
  ): RenderOptions {
    return {
      addGenerationPrompt: !continueFinalMessage,
      ...(continueFinalMessage === undefined ? {} : { continueFinalMessage }),
      ...(tools === undefined ? {} : { tools }),
      ...(enableThinking === undefined ? {} : { enableThinking }),
      variables: { ...this.tokenizer.specialTokens, ...templateVariables },
    };
  }

  /**
   * One image as the vision tower reads it.
   *
   * @throws IMAGE_INVALID, IMAGE_TOO_LARGE, INPUT_INVALID, OPTION_INVALID, SOURCE_REFUSED, SOURCE_TOO_LARGE, TIMED_OUT,
   * ABORTED
   */
  async readImage(source: PromptImage, given?: ReadOptions): Promise<ProcessedMedia> {
    const options = readOptions(given, "readImage", ["sources", "signal"]);
    return this.#media.image(source, options);
  }

  /**
   * One video as the vision tower reads it.
   *
   * @throws VIDEO_INVALID, CODEC_UNAVAILABLE, IMAGE_INVALID, IMAGE_TOO_LARGE, INPUT_INVALID, OPTION_INVALID,
   * SOURCE_REFUSED, SOURCE_TOO_LARGE, TIMED_OUT, ABORTED
   */
  async readVideo(source: PromptVideo, given?: ReadVideoOptions): Promise<ProcessedMedia> {
    const options = readOptions(given, "readVideo", READ_VIDEO_OPTION_NAMES);
    checkVideoChoices(options, (name) => name);
    return this.#media.video(source, options);
  }

  #marker(modality: string, id: number): string {
    const token = this.tokenizer.tokenOf(id);
    if (token !== null) return token;
    throw new GlimtError(
      "TOKENIZER_INVALID",
      `The tokenizer has no token ${id}, which config.json names for ${modality}s.`,
    );
  }

  get #imageToken(): string {
    return this.#marker("image", this.checkpoint.config.tokens.image);
  }

  get #videoToken(): string {
    return this.#marker("video", this.checkpoint.config.tokens.video);
  }

  #expanded(
    promptText: string,
    images: readonly VideoPlaceholder[],
    videos: readonly VideoPlaceholder[],
    videoLayout: VideoLayout = "frames",
  ): string {
    return expandPlaceholders(promptText, {
      imageGridThw: images.map(({ gridThw }) => gridThw),
      videos,
      mergeSize: this.checkpoint.processor.image.mergeSize,
      videoLayout,
      imageToken: this.#imageToken,
      videoToken: this.#videoToken,
    });
  }

  #laidOut(
    rendered: string,
    inputIds: readonly number[],
    images: readonly VideoPlaceholder[],
    videos: readonly VideoPlaceholder[],
    videoLayout: VideoLayout = "frames",
  ) {
    const { config } = this.checkpoint;
    const imageGridThw = images.map(({ gridThw }) => gridThw);
    const videoGridThw = videos.map(({ gridThw }) => gridThw);
    const types = mmTokenTypeIds(inputIds, config.tokens);
    checkMediaOrder(rendered, types, {
      image: { marker: this.#imageToken, gridThw: imageGridThw },
      video: { marker: this.#videoToken, gridThw: videoGridThw },
      mergeSize: config.vision.spatialMergeSize,
    });
    const { positionIds, ropeDelta, media } = layOutPrompt(inputIds, types, {
      imageGridThw,
      videoGridThw,
      spatialMergeSize: config.vision.spatialMergeSize,
      videoLayout,
    });
    return {
      inputIds,
      mmTokenTypeIds: inputIds.map((_, row) => types[row] as number),
      imageGridThw,
      videoGridThw,
      positionIds,
      ropeDelta,
      media,
      promptTokens: inputIds.length - numPrunedRows({ media }, this.videoPruning),
    };
  }
}
