/** The processor: a conversation with pictures in, everything the model is given out. Runs no model. */
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import { GlimtError } from "../errors.ts";
import { decodeImage } from "../media/decode-image.ts";
import type { ImageSource } from "../media/source.ts";
import { loadVideo } from "../media/video.ts";
import type { VideoMetadata, VideoMetadataJson, VideoSource } from "../media/video-source.ts";
import type { PositionIds } from "../mrope/positions.ts";
import type { GridThw } from "../processor/grid.ts";
import { processImage } from "../processor/image.ts";
import {
  expandPlaceholders,
  mmTokenTypeIds,
  type VideoLayout,
  type VideoPlaceholder,
} from "../processor/placeholders.ts";
import { processVideo } from "../processor/video.ts";
import { loadChatTemplate, type RenderOptions, renderChat } from "../text/chat-template.ts";
import { type ChatMessage, type NormalisedChat, normaliseMessages, type Part } from "../text/messages.ts";
import { loadTokenizer, type Tokenizer } from "../text/tokenizer.ts";
import { rejectUnknownOptions } from "../unknown-options.ts";
import { layOutPrompt } from "./layout.ts";
import type { MediaAccess } from "./media-access.ts";
import {
  checkImageEmbeddings,
  checkVideoEmbeddings,
  type ImageEmbeddings,
  isEmbedded,
  type VideoEmbeddings,
} from "./media-embeddings.ts";
import { checkCounts, type MediaOptions, type MediaRules, resolveMedia } from "./media-options.ts";
import type { GenerateProgress } from "./progress.ts";
import { RequestSizer } from "./request-sizer.ts";
import { frameChoice, type ReadVideoOptions, resolveChoices, sharedChoices } from "./video-choices.ts";
import type { VisionItem } from "./vision-items.ts";

/** A picture, or its features. */
export type PromptImage = ImageSource | ImageEmbeddings;
/** A video, or its features with their timestamps. */
export type PromptVideo = VideoSource | VideoEmbeddings;
/** What may be said of a video beside it, in either spelling. */
export type PromptVideoMetadata = VideoMetadata | VideoMetadataJson;
export type Message = ChatMessage<PromptImage, PromptVideo, PromptVideoMetadata>;
export type MessagePart = Part<PromptImage, PromptVideo, PromptVideoMetadata>;

export interface ProcessOptions {
  /** JSON schemas of functions, as the template takes them. */
  readonly tools?: readonly object[] | undefined;
  /** Whether the template lets the model think first; default: the template's own. */
  readonly enableThinking?: boolean | undefined;
  /** Continue the last assistant message instead of opening a new one. */
  readonly continueFinalMessage?: boolean | undefined;
  /** Further variables for the template. */
  readonly templateVariables?: Readonly<Record<string, unknown>> | undefined;
  /** Frames a second to sample of videos whose part does not say; only where the processor leaves a choice (4.1V). */
  readonly videoFps?: number | undefined;
  /**
   * true: choose frames as the checkpoint's processor does, which needs the video's rate. false: use all frames as
   * they are given. Default: choose where the rate is known and the frames were not sampled before.
   */
  readonly sampleFrames?: boolean | undefined;
  /** At most so many frames of each video, evenly spaced. */
  readonly maxFrames?: number | undefined;
  /**
   * "frames" (default, as Hugging Face): each temporal patch of a video is a picture of its own, its timestamp behind
   * it. "block": a video is one t x h x w block without timestamps.
   */
  readonly videoLayout?: VideoLayout | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Called while pictures and videos are read, with stage "media". */
  readonly onProgress?: ((progress: GenerateProgress) => void) | undefined;
}

export const PROCESS_OPTION_NAMES: readonly (keyof ProcessOptions)[] = [
  "tools",
  "enableThinking",
  "continueFinalMessage",
  "templateVariables",
  "videoFps",
  "sampleFrames",
  "maxFrames",
  "videoLayout",
  "signal",
  "onProgress",
];

export interface ProcessedInputs {
  /** The rendered template, one marker a picture. */
  readonly promptText: string;
  /** The prompt's tokens, each picture's marker expanded to one token a feature. */
  readonly inputIds: readonly number[];
  /** 0 text, 1 image, 2 video; one a token. */
  readonly mmTokenTypeIds: readonly number[];
  /**
   * f32 [patches of all images, channels * temporal * patch²], or null without images. Images that were given as
   * embeddings have no pixels here. Of several images it is a copy, made when this is first read: generating needs only
   * `visionItems`.
   */
  readonly pixelValues: Float32Array | null;
  readonly pixelValuesVideos: Float32Array | null;
  readonly imageGridThw: readonly GridThw[];
  readonly videoGridThw: readonly GridThw[];
  readonly positionIds: PositionIds;
  readonly ropeDelta: number;
  /** Images and videos in prompt order, each with pixels of its own or the embeddings given. */
  readonly visionItems: readonly VisionItem[];
  /** Time it took. */
  readonly milliseconds: number;
}

/** One image or video, ready to encode. */
export type ProcessedMedia = VisionItem & {
  readonly gridThw: GridThw;
  /** Timestamp texts of a video's temporal patches; none for an image. */
  readonly labels: readonly string[];
};

export class Processor {
  readonly checkpoint: Checkpoint;
  readonly tokenizer: Tokenizer;
  /** Grids, tokens and limits by sizes alone. */
  readonly sizes: RequestSizer;
  readonly #template: string;
  readonly #media: MediaAccess;
  readonly #rules: MediaRules;

  private constructor(
    checkpoint: Checkpoint,
    tokenizer: Tokenizer,
    template: string,
    media: MediaAccess,
    rules: MediaRules,
  ) {
    this.checkpoint = checkpoint;
    this.tokenizer = tokenizer;
    this.#template = template;
    this.#media = media;
    this.#rules = rules;
    this.sizes = new RequestSizer(checkpoint, rules, (content, images, videos) => {
      const promptText = renderChat(template, [{ role: "user", content }], this.#renderOptions({}));
      return this.#tokens(promptText, images, videos);
    });
  }

  /** Reads the tokenizer and template; no weights. @throws TOKENIZER_INVALID, TEMPLATE_INVALID, OPTION_INVALID */
  static async open(checkpoint: Checkpoint, media: MediaAccess, options: MediaOptions): Promise<Processor> {
    const rules = resolveMedia(options, checkpoint.processor);
    const tokenizer = await loadTokenizer(checkpoint.files);
    const template = await loadChatTemplate(checkpoint.files);
    return new Processor(checkpoint, tokenizer, template, media, rules);
  }

  /** @throws INPUT_INVALID, IMAGE_INVALID, IMAGE_TOO_LARGE, VIDEO_INVALID, TEMPLATE_INVALID, ABORTED */
  async process(messages: readonly Message[], options: ProcessOptions = {}): Promise<ProcessedInputs> {
    rejectUnknownOptions(options, PROCESS_OPTION_NAMES, "process");
    const start = performance.now();
    const chat = normaliseMessages(messages);
    checkCounts(chat.images.length, chat.videos.length, this.#rules.limits);
    const promptText = renderChat(this.#template, chat.messages, this.#renderOptions(options));
    const { images, videos } = await this.#readMedia(chat, options);
    const [imagePixels, videoPixels] = [joined(images), joined(videos)];
    return {
      promptText,
      ...this.#tokens(promptText, images, videos, options.videoLayout),
      get pixelValues() {
        return imagePixels();
      },
      get pixelValuesVideos() {
        return videoPixels();
      },
      visionItems: inPromptOrder(promptText, { [this.#imageToken]: images, [this.#videoToken]: videos }),
      milliseconds: performance.now() - start,
    };
  }

  /** Errors say which part of which message they are about. */
  async #readMedia(
    { images, videos }: NormalisedChat<PromptImage, PromptVideo, PromptVideoMetadata>,
    options: ProcessOptions,
  ) {
    const { signal, onProgress } = options;
    const shared = sharedChoices(options);
    const total = images.length + videos.length;
    const media = { images: [] as ProcessedMedia[], videos: [] as ProcessedMedia[] };
    const report = (share: number) => {
      const done = media.images.length + media.videos.length;
      onProgress?.({ stage: "media", share: (done + share) / total });
    };
    for (const { source, path } of images) {
      media.images.push(await named(path, () => this.readImage(source, signal)));
      report(0);
    }
    for (const { source, path, choices } of videos) {
      const reading = { ...resolveChoices(choices, shared), signal, onProgress: report };
      media.videos.push(await named(path, () => this.readVideo(source, reading)));
      report(0);
    }
    return media;
  }

  #renderOptions({
    tools,
    enableThinking,
    continueFinalMessage,
    templateVariables,
  }: ProcessOptions): RenderOptions {
    return {
      addGenerationPrompt: !continueFinalMessage,
      ...(continueFinalMessage === undefined ? {} : { continueFinalMessage }),
      ...(tools === undefined ? {} : { tools }),
      ...(enableThinking === undefined ? {} : { enableThinking }),
      variables: { ...this.tokenizer.specialTokens, ...templateVariables },
    };
  }

  /** One image as the vision tower reads it. @throws IMAGE_INVALID, IMAGE_TOO_LARGE, INPUT_INVALID, ABORTED */
  async readImage(source: PromptImage, signal?: AbortSignal): Promise<ProcessedMedia> {
    if (isEmbedded(source)) {
      checkImageEmbeddings(source, this.checkpoint.config);
      return { embeddings: source.embeddings, gridThw: source.gridThw, labels: [] };
    }
    const picture = await decodeImage(source, this.#decoding(signal));
    const { pixelValues, gridThw } = processImage(picture, this.#rules.image, {
      rounding: this.#rules.rounding,
    });
    return { pixelValues, gridThw, labels: [] };
  }

  /**
   * One video as the vision tower reads it.
   *
   * @throws VIDEO_INVALID, CODEC_UNAVAILABLE, IMAGE_INVALID, IMAGE_TOO_LARGE, INPUT_INVALID, OPTION_INVALID, ABORTED
   */
  async readVideo(source: PromptVideo, options: ReadVideoOptions = {}): Promise<ProcessedMedia> {
    if (isEmbedded(source)) {
      const given = source as VideoEmbeddings;
      checkVideoEmbeddings(given, this.checkpoint.config);
      return { embeddings: given.embeddings, gridThw: given.gridThw, labels: given.labels };
    }
    const { signal, onProgress, metadata } = options;
    const { readFrameDirectory, loadWebCodecs } = this.#media;
    const decoding = { ...this.#decoding(signal), readFrameDirectory, loadWebCodecs, metadata };
    const video = await loadVideo(source, decoding);
    try {
      return await processVideo(video, this.checkpoint.processor.kind, this.#rules.video, {
        ...frameChoice(options, this.checkpoint.processor),
        rounding: this.#rules.rounding,
        signal,
        onProgress: (done, total) => onProgress?.(done / total),
      });
    } finally {
      await video.close();
    }
  }

  #decoding(signal: AbortSignal | undefined) {
    const { mode, maxDecodedPixels } = this.#rules;
    return { mode, maxDecodedPixels, readFile: this.#media.readFile, signal };
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

  #tokens(
    promptText: string,
    images: readonly VideoPlaceholder[],
    videos: readonly VideoPlaceholder[],
    videoLayout: VideoLayout = "frames",
  ) {
    const { config, processor } = this.checkpoint;
    const imageGridThw = images.map(({ gridThw }) => gridThw);
    const videoGridThw = videos.map(({ gridThw }) => gridThw);
    const expanded = expandPlaceholders(promptText, {
      imageGridThw,
      videos,
      mergeSize: processor.image.mergeSize,
      videoLayout,
      imageToken: this.#imageToken,
      videoToken: this.#videoToken,
    });
    const inputIds = this.tokenizer.encode(expanded);
    const types = mmTokenTypeIds(inputIds, config.tokens);
    const { positionIds, ropeDelta } = layOutPrompt(inputIds, types, {
      imageGridThw,
      videoGridThw,
      spatialMergeSize: config.vision.spatialMergeSize,
      videoLayout,
    });
    return {
      inputIds,
      mmTokenTypeIds: Array.from(types),
      imageGridThw,
      videoGridThw,
      positionIds,
      ropeDelta,
    };
  }
}

/** Errors of `task` with the place of the part they are about before them. */
async function named<T>(path: string, task: () => Promise<T>): Promise<T> {
  try {
    return await task();
  } catch (error) {
    if (!(error instanceof GlimtError) || error.code === "ABORTED") throw error;
    throw new GlimtError(error.code, `${path}: ${error.message}`, { cause: error });
  }
}

/** Features replace tokens from the front, so items must stand in the order of their markers. */
function inPromptOrder(
  promptText: string,
  media: Readonly<Record<string, readonly ProcessedMedia[]>>,
): VisionItem[] {
  const markers = Object.keys(media);
  const places = markers.flatMap((marker) => {
    const starts: number[] = [];
    for (let at = promptText.indexOf(marker); at >= 0; at = promptText.indexOf(marker, at + marker.length))
      starts.push(at);
    return starts.map((start, index) => ({ start, item: media[marker]?.[index] as ProcessedMedia }));
  });
  return places
    .sort((a, b) => a.start - b.start)
    .map(({ item }) =>
      "embeddings" in item
        ? { embeddings: item.embeddings }
        : { pixelValues: item.pixelValues, gridThw: item.gridThw },
    );
}

/** The pixels of all items that have some; of several, a copy that is made when it is first asked for. */
function joined(media: readonly ProcessedMedia[]): () => Float32Array | null {
  const items = media.flatMap((item) => ("pixelValues" in item ? [item] : []));
  if (items.length <= 1) return () => items[0]?.pixelValues ?? null;
  let all: Float32Array | undefined;
  return () => {
    all ??= concatenated(items.map(({ pixelValues }) => pixelValues));
    return all;
  };
}

function concatenated(parts: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let offset = 0;
  for (const part of parts) {
    all.set(part, offset);
    offset += part.length;
  }
  return all;
}
