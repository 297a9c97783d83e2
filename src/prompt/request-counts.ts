/** What a request would be given, from the sizes of its pictures and videos: grids and tokens, without any pixel. */
import type { ProcessorConfig } from "../config/types.ts";
import { GlimtError } from "../errors.ts";
import { type Kind, readOptions } from "../given.ts";
import { MOST_FRAMES } from "../media/movie/most-frames.ts";
import { numEncoderTokens } from "../processor/budgets.ts";
import { imageSize, type VisionSize, videoSize } from "../processor/sizes.ts";
import { chooseFrames } from "../processor/video.ts";
import type { MediaRules } from "./media-options.ts";
import { numKeptFeatures } from "./pruned-media.ts";
import { frameChoice } from "./video-choices.ts";

/** A picture's size. */
export interface ImageDims {
  /** Pixels. */
  readonly width: number;
  /** Pixels. */
  readonly height: number;
}

/** A video's size and length. */
export interface VideoDims extends ImageDims {
  /** Frames of the source. */
  readonly numFrames: number;
  /** Frames a second of the source; without it all frames are used. */
  readonly fps?: number | undefined;
  /** Seconds; default: by frames and rate. */
  readonly duration?: number | undefined;
  /** As in `process`: false uses all frames; default: they are sampled when the rate is known. */
  readonly sampleFrames?: boolean | undefined;
  /** As in `process`: at most so many frames. */
  readonly maxFrames?: number | undefined;
  /** As `videoFps` in `process`: frames a second to sample. */
  readonly sampledFps?: number | undefined;
}

/** One user message with these pictures and videos, then text. */
export interface RequestSizes {
  /** Pictures, in their order. */
  readonly images?: readonly ImageDims[] | undefined;
  /** Videos, in their order. */
  readonly videos?: readonly VideoDims[] | undefined;
  /** The text behind them. */
  readonly text?: string | undefined;
  /** Tokens of further text. */
  readonly textTokens?: number | undefined;
}

/** What a video of some size becomes. */
export interface CountedVideo extends VisionSize {
  /** Frames that are used, the padding one included. */
  readonly numSampledFrames: number;
  /** Timestamp texts. */
  readonly labels: readonly string[];
  /** Of numTokens, those that are read: `videoPruning` leaves the others out. */
  readonly numKeptTokens: number;
}

/** What a request of some sizes becomes. */
export interface RequestCounts {
  /** Each of the pictures. */
  readonly images: readonly VisionSize[];
  /** Each of the videos. */
  readonly videos: readonly CountedVideo[];
  /** All tokens of the prompt that are read: those of the template and of further text too. */
  readonly promptTokens: number;
  /** Of the prompt: tokens that stand for pictures and are read. */
  readonly visionTokens: number;
  /** Features of pictures and videos, those of tokens that are left out too. */
  readonly visionFeatures: number;
  /** Patches: rows that the vision tower works on. */
  readonly encoderTokens: number;
}

export type ReadSizes = Omit<RequestSizes, "images" | "videos"> & {
  readonly images: readonly ImageDims[];
  readonly videos: readonly VideoDims[];
};

const IMAGE_KINDS = { width: "number", height: "number" } as const;
const VIDEO_KINDS = {
  ...IMAGE_KINDS,
  numFrames: "number",
  fps: "number",
  duration: "number",
  sampleFrames: "boolean",
  maxFrames: "number",
  sampledFps: "number",
} as const;
const SIZES_KINDS = { images: "list", videos: "list", text: "string", textTokens: "number" } as const;

/** A copy of what a caller says, each value read once. @throws INPUT_INVALID naming the place */
export function readSizes(given: RequestSizes): ReadSizes {
  const sizes = read(given, "sizes", SIZES_KINDS);
  const { images = [], videos = [], textTokens = 0 } = sizes;
  if (!Number.isInteger(textTokens) || textTokens < 0) {
    throw new GlimtError("INPUT_INVALID", `textTokens is ${textTokens}, expected a whole number from 0.`);
  }
  return {
    ...sizes,
    images: images.map((image, index) => read(image, `images[${index}]`, IMAGE_KINDS)),
    videos: videos.map((video, index) => read(video, `videos[${index}]`, VIDEO_KINDS)),
  };
}

function read<T extends object>(given: T, what: string, kinds: Readonly<Record<string, Kind>>): T {
  // What is nothing has no size.
  return readOptions(given ?? (null as unknown as T), what, Object.keys(kinds), kinds, "INPUT_INVALID");
}

/** @throws INPUT_INVALID, IMAGE_INVALID, VIDEO_INVALID for sizes that the processor would refuse */
export function countMedia(
  { images, videos }: Required<Pick<ReadSizes, "images" | "videos">>,
  processor: ProcessorConfig,
  rules: MediaRules,
): Pick<RequestCounts, "images" | "videos"> {
  return {
    images: images.map(({ width, height }) => imageSize(width, height, rules.image)),
    videos: videos.map((video) => countVideo(video, processor, rules)),
  };
}

function countVideo(
  { width, height, numFrames, fps, duration, sampledFps, sampleFrames, maxFrames }: VideoDims,
  processor: ProcessorConfig,
  { video, videoPruning }: MediaRules,
): CountedVideo {
  if (!Number.isInteger(numFrames) || numFrames < 1) {
    throw new GlimtError("VIDEO_INVALID", `numFrames is ${numFrames}, expected a whole number from 1.`);
  }
  const choices = frameChoice({ fps: sampledFps, sampleFrames, maxFrames }, processor);
  // Without sampling each of them is listed, with its time in the prompt.
  if (numFrames > MOST_FRAMES && !(choices.sampleFrames ?? fps !== undefined)) {
    throw new GlimtError(
      "VIDEO_INVALID",
      `numFrames is ${numFrames}, of which all would be used; no video of more than ${MOST_FRAMES} is. Give its rate (fps) and let frames be sampled.`,
    );
  }
  const { indices, labels } = chooseFrames({ numFrames, metadata: { fps, duration } }, processor.kind, {
    ...choices,
    temporalPatchSize: video.temporalPatchSize,
  });
  const size = videoSize(indices.length, width, height, video);
  return { ...size, numSampledFrames: indices.length, labels, numKeptTokens: keptTokens(size, videoPruning) };
}

/** Of a video of this size, at a rate of pruning. */
export function keptTokens({ numTokens, gridThw }: VisionSize, videoPruning: number): number {
  return numKeptFeatures({ type: "video", gridThw, numFeatures: numTokens }, videoPruning);
}

export function totals(
  { images, videos }: Pick<RequestCounts, "images" | "videos">,
  mergeSize: number,
): Pick<RequestCounts, "visionTokens" | "visionFeatures" | "encoderTokens"> {
  const visionFeatures = [...images, ...videos].reduce((sum, { numTokens }) => sum + numTokens, 0);
  const pruned = videos.reduce((sum, { numTokens, numKeptTokens }) => sum + numTokens - numKeptTokens, 0);
  const encoderTokens = numEncoderTokens(visionFeatures, mergeSize);
  return { visionTokens: visionFeatures - pruned, visionFeatures, encoderTokens };
}
