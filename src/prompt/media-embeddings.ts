/** Images and videos given as the vision tower's features instead of pixels, and their checks. */
import type { ModelConfig } from "../config/types.ts";
import { GlimtError } from "../errors.ts";
import { type GridThw, numMergedTokens } from "../processor/grid.ts";
import { checkTensors, type KnownSizes, type TensorSchema } from "../tensor/schema.ts";

/** Features of an image: what `encodeImages` gives, in place of the image. */
export interface ImageEmbeddings {
  /** f32 [f, h], row-major: f = t*h*w / merge² of the grid, h the model's hidden size. */
  readonly embeddings: Float32Array;
  /** Patches in time, height and width, before they are merged. */
  readonly gridThw: GridThw;
}

/** Features of a video: what `encodeVideos` gives, in place of the video. */
export interface VideoEmbeddings extends ImageEmbeddings {
  /** The timestamp text of each of the grid's t temporal patches, as it stands in the prompt. */
  readonly labels: readonly string[];
}

const SCHEMA: TensorSchema = {
  gridThw: { shape: "3", values: "integer", min: 1 },
  embeddings: { shape: "f h", values: "float" },
};

export function isEmbedded(source: unknown): source is ImageEmbeddings {
  return typeof source === "object" && source !== null && "embeddings" in source;
}

/** @throws INPUT_INVALID naming the field and the dimension. */
export function checkImageEmbeddings(given: ImageEmbeddings, config: ModelConfig): void {
  checkEmbeddings("image", given, config);
  if (given.gridThw[0] !== 1) {
    throw new GlimtError(
      "INPUT_INVALID",
      `image.gridThw is ${given.gridThw.join(" x ")}: an image has one frame, not ${given.gridThw[0]}.`,
    );
  }
}

/** @throws INPUT_INVALID naming the field and the dimension. */
export function checkVideoEmbeddings(given: VideoEmbeddings, config: ModelConfig): void {
  checkEmbeddings("video", given, config);
  const { labels, gridThw } = given;
  if (!Array.isArray(labels) || !labels.every((label) => typeof label === "string")) {
    throw new GlimtError("INPUT_INVALID", "video.labels (t) must be a list of timestamp texts.");
  }
  if (labels.length !== gridThw[0]) {
    throw new GlimtError(
      "INPUT_INVALID",
      `video.labels (t): t is ${labels.length}, expected ${gridThw[0]} (t from video.gridThw).`,
    );
  }
}

/** @throws INPUT_INVALID for grids whose sides do not part into merge blocks. */
export function checkGrid(name: string, [, h, w]: GridThw, spatialMergeSize: number): void {
  for (const [side, value] of [
    ["h", h],
    ["w", w],
  ] as const) {
    if (value % spatialMergeSize === 0) continue;
    throw new GlimtError(
      "INPUT_INVALID",
      `${name}: ${side} is ${value}, expected a multiple of the merge size ${spatialMergeSize}.`,
    );
  }
}

function checkEmbeddings(what: string, given: ImageEmbeddings, { vision, text }: ModelConfig): void {
  const named = (field: keyof typeof SCHEMA) => ({
    [`${what}.${field}`]: SCHEMA[field] as TensorSchema[string],
  });
  if (!given.embeddings) throw new GlimtError("INPUT_INVALID", `${what}.embeddings is missing.`);
  const inputs = {
    [`${what}.gridThw`]: given.gridThw ?? "nothing",
    [`${what}.embeddings`]: given.embeddings,
  };
  checkTensors(named("gridThw"), inputs);
  checkGrid(`${what}.gridThw`, given.gridThw, vision.spatialMergeSize);
  const known: KnownSizes = {
    f: { size: numMergedTokens(given.gridThw, vision.spatialMergeSize), from: `${what}.gridThw` },
    h: { size: text.hiddenSize, from: "the model's hidden size" },
  };
  checkTensors(named("embeddings"), inputs, known);
}
