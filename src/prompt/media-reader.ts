/** Reads the images and videos of a prompt: decoded, resized and cut into patches, or features as they are given. */
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import { GlimtError } from "../errors.ts";
import { turnWhenDue } from "../event-loop.ts";
import { shown } from "../given.ts";
import { type MediaOptions as DecodingRules, decodeImage } from "../media/decode-image.ts";
import type { MediaWorkers } from "../media/media-workers.ts";
import { sourceRule } from "../media/sources/source-rule.ts";
import { loadVideo } from "../media/video.ts";
import { type GridThw, numMergedTokens } from "../processor/grid.ts";
import { processImage } from "../processor/image.ts";
import { processVideo } from "../processor/video.ts";
import type { MediaName, NormalisedChat } from "../text/messages.ts";
import { heldSource } from "./held-source.ts";
import type { MediaAccess } from "./media-access.ts";
import {
  checkImageEmbeddings,
  checkVideoEmbeddings,
  isEmbedded,
  type VideoEmbeddings,
} from "./media-embeddings.ts";
import type { MediaRules } from "./media-options.ts";
import type { ProcessOptions, PromptImage, PromptVideo, PromptVideoMetadata } from "./process-options.ts";
import type { ProcessedMedia } from "./processed-inputs.ts";
import {
  frameChoice,
  type ReadOptions,
  type ReadVideoOptions,
  resolveChoices,
  sharedChoices,
} from "./video-choices.ts";

/** What is kept of an image or video that was encoded under a name; null when nothing is. */
export type FindKnown = (uuid: string) => Promise<{
  readonly embeddings: Float32Array;
  readonly gridThw: GridThw;
  readonly labels?: readonly string[] | undefined;
} | null>;

export class MediaReader {
  readonly #checkpoint: Checkpoint;
  readonly #access: MediaAccess;
  readonly #rules: MediaRules;
  readonly #workers: MediaWorkers | undefined;

  constructor(checkpoint: Checkpoint, access: MediaAccess, rules: MediaRules) {
    this.#checkpoint = checkpoint;
    this.#access = access;
    this.#rules = rules;
    if (rules.workerUrl !== undefined && !access.mediaWorkers) {
      throw new GlimtError(
        "OPTION_INVALID",
        "workerUrl would have no effect: no worker can be started here (workerd has none); leave it out.",
      );
    }
    this.#workers = access.mediaWorkers?.(rules.workerUrl);
  }

  /**
   * All of a conversation. Errors say which part of which message they are about.
   *
   * @param checkRoom told of the features of what was read, before each of the others is: what it throws ends reading
   */
  async all(
    { images, videos }: NormalisedChat<PromptImage, PromptVideo, PromptVideoMetadata>,
    options: ProcessOptions,
    checkRoom: (features: number) => void,
    known?: FindKnown,
  ) {
    const { onProgress } = options;
    const shared = sharedChoices(options);
    const decoding = this.#decoding(options);
    const total = images.length + videos.length;
    if (total > 0) this.#requireTower();
    const media = { images: [] as ProcessedMedia[], videos: [] as ProcessedMedia[] };
    let features = 0;
    const count = ({ gridThw }: ProcessedMedia) =>
      numMergedTokens(gridThw, this.#checkpoint.config.vision.spatialMergeSize);
    const report = (share: number) => {
      const done = media.images.length + media.videos.length;
      onProgress?.({ stage: "media", share: (done + share) / total });
    };
    for (const { source, path, ...name } of images) {
      checkRoom(features);
      const read = () =>
        source === undefined ? knownMedia("image", name, known) : this.#image(source, decoding);
      const image = await named(path, read);
      media.images.push({ ...image, ...name });
      features += count(image);
      report(0);
    }
    for (const { source, path, choices, ...name } of videos) {
      checkRoom(features);
      const reading = { ...resolveChoices(choices, shared), onProgress: report };
      const read = () =>
        source === undefined ? knownMedia("video", name, known) : this.#video(source, reading, decoding);
      const video = await named(path, read);
      media.videos.push({ ...video, ...name });
      // How many rows pruning leaves is not known before the tower has run.
      if (this.#rules.videoPruning === 0) features += count(video);
      report(0);
    }
    return media;
  }

  /**
   * One image as the vision tower reads it.
   *
   * @throws IMAGE_INVALID, IMAGE_TOO_LARGE, INPUT_INVALID, OPTION_INVALID, SOURCE_REFUSED, SOURCE_TOO_LARGE, TIMED_OUT,
   * ABORTED
   */
  async image(source: PromptImage, options: ReadOptions): Promise<ProcessedMedia> {
    this.#requireTower();
    return this.#image(source, this.#decoding(options));
  }

  /**
   * One video as the vision tower reads it.
   *
   * @throws VIDEO_INVALID, CODEC_UNAVAILABLE, IMAGE_INVALID, IMAGE_TOO_LARGE, INPUT_INVALID, OPTION_INVALID,
   * SOURCE_REFUSED, SOURCE_TOO_LARGE, TIMED_OUT, ABORTED
   */
  async video(source: PromptVideo, options: ReadVideoOptions): Promise<ProcessedMedia> {
    this.#requireTower();
    return this.#video(source, options, this.#decoding(options));
  }

  #requireTower(): void {
    const { textOnly } = this.#checkpoint.config;
    if (textOnly !== null) throw new GlimtError("MODEL_UNSUPPORTED", textOnly);
  }

  async #image(given: PromptImage, decoding: DecodingRules): Promise<ProcessedMedia> {
    await turnWhenDue(decoding.signal);
    const source = heldSource(given);
    if (isEmbedded(source)) {
      checkImageEmbeddings(source, this.#checkpoint.config);
      return { embeddings: source.embeddings, gridThw: source.gridThw, labels: [] };
    }
    const picture = await decodeImage(source, decoding);
    const { width, height } = picture;
    const { pixelValues, gridThw, ...resized } = await processImage(picture, this.#rules.image, {
      rounding: this.#rules.rounding,
      signal: decoding.signal,
    });
    return { pixelValues, gridThw, labels: [], source: { width, height, ...resized } };
  }

  async #video(
    asked: PromptVideo,
    options: Omit<ReadVideoOptions, keyof ReadOptions>,
    decoding: DecodingRules,
  ): Promise<ProcessedMedia> {
    const { signal } = decoding;
    await turnWhenDue(signal);
    const source = heldSource(asked);
    if (isEmbedded(source)) {
      const given = source as VideoEmbeddings;
      checkVideoEmbeddings(given, this.#checkpoint.config);
      return { embeddings: given.embeddings, gridThw: given.gridThw, labels: given.labels };
    }
    const { onProgress, metadata } = options;
    const { readFrameDirectory } = this.#access;
    const video = await loadVideo(source, { ...decoding, readFrameDirectory, metadata });
    try {
      const processed = await processVideo(video, this.#checkpoint.processor.kind, this.#rules.video, {
        ...frameChoice(options, this.#checkpoint.processor),
        rounding: this.#rules.rounding,
        signal,
        onProgress: (done, total) => onProgress?.(done / total),
      });
      const { pixelValues, gridThw, labels, width, height, resizedWidth, resizedHeight } = processed;
      const { indices, timestamps } = processed;
      const frames = { numFrames: video.metadata.totalNumFrames ?? video.numFrames, indices, timestamps };
      const source = { width, height, resizedWidth, resizedHeight, frames };
      return { pixelValues, gridThw, labels, source };
    } finally {
      await video.close();
    }
  }

  /** @throws OPTION_INVALID for sources that are none */
  #decoding({ signal, sources }: ReadOptions): DecodingRules {
    const { mode, maxDecodedPixels, decodeTimeout, maxSourceBytes, sourceTimeout } = this.#rules;
    const { readFile, requestPublic, loadWebCodecs } = this.#access;
    return {
      mode,
      maxDecodedPixels,
      decodeTimeout,
      sources: sources === undefined ? this.#rules.sources : sourceRule(sources),
      maxSourceBytes,
      sourceTimeout,
      readFile,
      requestPublic,
      loadWebCodecs,
      workers: this.#workers,
      // One of its own: what is read listens to it, and many requests may share the caller's.
      signal: signal && AbortSignal.any([signal]),
    };
  }
}

/** One that is given by its name alone. @throws INPUT_INVALID when nothing is kept under it */
async function knownMedia(
  type: "image" | "video",
  { uuid }: MediaName,
  known: FindKnown | undefined,
): Promise<ProcessedMedia> {
  if (!known) {
    throw new GlimtError(
      "INPUT_INVALID",
      `only generate and complete know what is kept under a uuid: give the ${type}.`,
    );
  }
  const found = await known(uuid as string);
  const labels = found?.labels ?? [];
  if (found && (type === "video") === labels.length > 0) {
    const { embeddings, gridThw } = found;
    return { embeddings, gridThw, labels };
  }
  throw new GlimtError(
    "INPUT_INVALID",
    `no ${type} is kept under the uuid ${shown(uuid)}, or not any more, or under another cacheSalt or with other adapters: send it again.`,
  );
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
