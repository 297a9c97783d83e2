/** Answers about requests by the sizes of their pictures: nothing is decoded and nothing runs. */
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import { GlimtError } from "../errors.ts";
import { readOptions, shown } from "../given.ts";
import { imageSizeWithMostFeatures } from "../processor/budgets.ts";
import type { GridThw } from "../processor/grid.ts";
import { patchLength } from "../processor/image.ts";
import type { VideoPlaceholder } from "../processor/placeholders.ts";
import { mostSampledFrames } from "../processor/sampling.ts";
import { type VisionSize, videoSize } from "../processor/sizes.ts";
import { checkCounts, type MediaRules } from "./media-options.ts";
import type { PromptInputs } from "./prompt-inputs.ts";
import {
  countMedia,
  type ImageDims,
  keptTokens,
  type ReadSizes,
  type RequestCounts,
  type RequestSizes,
  readSizes,
  totals,
} from "./request-counts.ts";

/** Renders one user message, expands its placeholders and reads its tokens. */
type Tokenise = (
  content: readonly object[],
  images: readonly VideoPlaceholder[],
  videos: readonly VideoPlaceholder[],
) => {
  readonly inputIds: readonly number[];
  readonly imageGridThw: readonly GridThw[];
  readonly videoGridThw: readonly GridThw[];
  /** Those of the ids that are read. */
  readonly promptTokens: number;
};

/** Counts what requests become by their sizes, without a pixel. */
export class RequestSizer {
  readonly #checkpoint: Pick<Checkpoint, "config" | "processor">;
  readonly #rules: MediaRules;
  readonly #tokens: Tokenise;

  constructor(checkpoint: Pick<Checkpoint, "config" | "processor">, rules: MediaRules, tokens: Tokenise) {
    this.#checkpoint = checkpoint;
    this.#rules = rules;
    this.#tokens = tokens;
  }

  /**
   * What a request with pictures and videos of these sizes would be given. Decodes and runs nothing.
   *
   * @throws INPUT_INVALID, IMAGE_INVALID, VIDEO_INVALID for sizes and counts that `process` would refuse
   */
  count(given: RequestSizes): RequestCounts {
    const sizes = readSizes(given);
    const { media, tokens } = this.#layOut(sizes);
    const { mergeSize } = this.#checkpoint.processor.image;
    return {
      ...media,
      ...totals(media, mergeSize),
      promptTokens: tokens.promptTokens + (sizes.textTokens ?? 0),
    };
  }

  /** Inputs of these sizes with black pictures, for warm-up. Throws as `count`. */
  dummyInputs(given: RequestSizes): PromptInputs {
    const sizes = readSizes(given);
    const { media, tokens } = this.#layOut(sizes);
    const { inputIds, imageGridThw, videoGridThw } = tokens;
    const pixels = (items: readonly VisionSize[]) =>
      new Float32Array(
        items.reduce((sum, { numPatches }) => sum + numPatches, 0) *
          patchLength(this.#checkpoint.processor.image),
      );
    return {
      inputIds: [...inputIds, ...new Array<number>(sizes.textTokens ?? 0).fill(0)],
      imageGridThw,
      videoGridThw,
      pixelValues: pixels(media.images),
      pixelValuesVideos: pixels(media.videos),
    };
  }

  /** The image size that gives the most features, at most `mostTokens` (default: what the context leaves room for). */
  imageSizeWithMostFeatures(mostTokens?: number): VisionSize {
    if (mostTokens !== undefined && typeof mostTokens !== "number") {
      throw new GlimtError("INPUT_INVALID", `mostTokens is ${shown(mostTokens)}, expected a number.`);
    }
    const { maxPositionEmbeddings } = this.#checkpoint.config.text;
    const around = this.count({ images: [{ width: 1, height: 1 }] });
    const room = maxPositionEmbeddings - 1 - (around.promptTokens - around.visionTokens);
    return imageSizeWithMostFeatures(this.#rules.image, Math.min(mostTokens ?? room, room));
  }

  /**
   * Most frames of a video of this size, sampled at `fps` (default 2), whose prompt has at most `promptTokens` tokens
   * (default: all of the context but one). 0 when not even one temporal patch fits. @throws INPUT_INVALID, OPTION_INVALID
   */
  mostVideoFrames(given: ImageDims, choices?: { promptTokens?: number; fps?: number }): number {
    const size = readOptions(
      given,
      "size",
      ["width", "height"],
      { width: "number", height: "number" },
      "INPUT_INVALID",
    );
    const kinds = { promptTokens: "number", fps: "number" } as const;
    const options = readOptions(choices, "mostVideoFrames", Object.keys(kinds), kinds);
    const { config, processor } = this.#checkpoint;
    const { promptTokens = config.text.maxPositionEmbeddings - 1, fps = 2 } = options;
    for (const [name, value] of Object.entries({ promptTokens, fps })) {
      if (value > 0 && Number.isFinite(value)) continue;
      throw new GlimtError("OPTION_INVALID", `${name} is ${value}, expected a number above 0.`);
    }
    const step = processor.video.temporalPatchSize;
    for (
      let numFrames = mostSampledFrames(processor.kind, processor.sampling);
      numFrames > 0;
      numFrames -= step
    ) {
      const whole = videoSize(numFrames, size.width, size.height, this.#rules.video);
      if (keptTokens(whole, this.#rules.videoPruning) >= promptTokens) continue;
      const counts = this.count({ videos: [{ ...size, numFrames, fps, sampleFrames: false }] });
      if (counts.promptTokens <= promptTokens) return numFrames;
    }
    return 0;
  }

  #layOut(sizes: ReadSizes) {
    const { images, videos, text } = sizes;
    checkCounts(images.length, videos.length, this.#rules.limits);
    const media = countMedia(sizes, this.#checkpoint.processor, this.#rules);
    const content = [
      ...images.map(() => ({ type: "image", image: "?" })),
      ...videos.map(() => ({ type: "video", video: "?" })),
      ...(text === undefined ? [] : [{ type: "text", text }]),
    ];
    const pictures = media.images.map(({ gridThw }) => ({ gridThw, labels: [] }));
    return { media, tokens: this.#tokens(content, pictures, media.videos) };
  }
}
