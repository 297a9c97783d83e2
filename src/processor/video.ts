/** The video processor: chosen frames are decoded a temporal patch at a time, so only a few are ever in memory. */

import type { ImageProcessorConfig, ProcessorKind } from "../config/types.ts";
import { GlimtError } from "../errors.ts";
import { turnWhenDue } from "../event-loop.ts";
import type { RgbImage } from "../media/rgb-image.ts";
import type { LoadedVideo, VideoMetadata } from "../media/video.ts";
import { newPixelValues, type PixelOptions, type ProcessedPixels, patchLength } from "./image.ts";
import { Patchifier } from "./patchify.ts";
import { framesAt, type SampledFrames, type SamplingOptions, sampleVideoFrames } from "./sampling.ts";
import { videoSize } from "./sizes.ts";

export interface FrameChoice extends SamplingOptions {
  /**
   * true: choose frames as the checkpoint's processor does, which needs metadata.fps. false: use all frames as given.
   * Default: choose when the rate is known and the frames were not sampled before.
   */
  readonly sampleFrames?: boolean | undefined;
  /** Frames a second to sample; "glm46v" has its own rates and takes none. */
  readonly fps?: number | undefined;
  /** Of the frames chosen, keep at most so many, evenly spaced. */
  readonly maxFrames?: number | undefined;
}

export interface VideoOptions extends PixelOptions, FrameChoice {
  readonly signal?: AbortSignal | undefined;
  /** Called after each temporal patch. */
  readonly onProgress?: ((framesDone: number, framesTotal: number) => void) | undefined;
}

export interface ChosenFrames extends SampledFrames {
  /** Where each of them stands among the frames given; `indices` count the source video's frames. */
  readonly positions: readonly number[];
}

/** Timestamps, labels and grid belong to the chosen frames. */
export interface ProcessedVideo extends ProcessedPixels, ChosenFrames {
  /** Pixels of a frame as it was decoded. */
  readonly width: number;
  readonly height: number;
}

/**
 * Frames to pixelValues, grid and the timestamp labels of the prompt.
 *
 * Equal to Hugging Face's video processors, except that a single frame that is not sampled is repeated to fill its
 * temporal patch, which they refuse, and for what `sampleVideoFrames` says of very short videos.
 *
 * @throws VIDEO_INVALID for no frames, frames of different sizes, or metadata that contradicts them; what
 * decoding a frame throws; OUT_OF_MEMORY; ABORTED.
 */
export async function processVideo(
  video: LoadedVideo,
  kind: ProcessorKind,
  config: ImageProcessorConfig,
  options: VideoOptions = {},
): Promise<ProcessedVideo> {
  const rounding = options.rounding ?? "torchvision";
  const { temporalPatchSize } = config;
  const chosen = chooseFrames(video, kind, { temporalPatchSize, ...options });
  const { positions } = chosen;
  const frameAt = frameReader(video);

  const { width, height } = await frameAt(positions[0] as number);
  const { resizedWidth, resizedHeight, gridThw } = videoSize(positions.length, width, height, config);
  const [t, h, w] = gridThw;
  const resized = { width: resizedWidth, height: resizedHeight };
  const patchifier = new Patchifier({ width, height }, resized, config, rounding);
  const floatsPerStep = h * w * patchLength(config);
  const pixelValues = newPixelValues(t * floatsPerStep);
  for (let step = 0; step < t; step++) {
    for (let frame = 0; frame < temporalPatchSize; frame++) {
      const index = Math.min(step * temporalPatchSize + frame, positions.length - 1);
      const { data } = await frameAt(positions[index] as number);
      await patchifier.addFrame(frame, data, options.signal);
    }
    patchifier.writeFrames(pixelValues.subarray(step * floatsPerStep, (step + 1) * floatsPerStep));
    options.onProgress?.(Math.min((step + 1) * temporalPatchSize, positions.length), positions.length);
    await turnWhenDue(options.signal);
  }
  return { pixelValues, gridThw, width, height, resizedWidth, resizedHeight, ...chosen };
}

/**
 * Which frames of a video are used, and their timing. Touches no pixel.
 *
 * @throws VIDEO_INVALID as processVideo does; OPTION_INVALID for a rate where the processor takes none.
 */
export function chooseFrames(
  { numFrames, metadata }: Pick<LoadedVideo, "numFrames" | "metadata">,
  kind: ProcessorKind,
  options: FrameChoice = {},
): ChosenFrames {
  const { fps, duration, framesIndices } = metadata;
  checkMetadata(metadata, numFrames);
  if (kind === "glm46v" && options.fps !== undefined) {
    throw new GlimtError(
      "OPTION_INVALID",
      "fps: this checkpoint's video processor (Glm46V) sets the rate by the video's length and takes none; " +
        "leave it out, or give maxFrames.",
    );
  }
  if (framesIndices && options.sampleFrames) {
    throw new GlimtError(
      "VIDEO_INVALID",
      "The video's frames were sampled already (metadata.framesIndices); leave out sampleFrames.",
    );
  }
  const isSampled = !framesIndices && (options.sampleFrames ?? fps !== undefined);
  const positions = isSampled
    ? sampleVideoFrames(kind, { totalNumFrames: numFrames, fps, duration }, options.fps, options).indices
    : [...new Array(numFrames).keys()];
  const kept = thinned(positions, options.maxFrames ?? positions.length, isSampled);
  const indices = kept.map((position) => framesIndices?.[position] ?? position);
  return { ...framesAt(kind, indices, fps), positions: kept };
}

/** At most `most` different positions, evenly spaced; an even number of them when they were sampled. */
function thinned(positions: readonly number[], most: number, isSampled: boolean): readonly number[] {
  const different = [...new Set(positions)];
  if (different.length <= most) return positions;
  const step = (different.length - 1) / Math.max(most - 1, 1);
  const kept = Array.from({ length: most }, (_, i) => different[Math.round(i * step)] as number);
  return isSampled && kept.length % 2 === 1 ? [...kept, kept.at(-1) as number] : kept;
}

/** Seconds, and share of the whole, by which a duration may miss what frames and rate say: files round it. */
const DURATION_SECONDS_OFF = 1;
const DURATION_SHARE_OFF = 0.05;

function checkMetadata({ fps, totalNumFrames, duration, framesIndices }: VideoMetadata, numFrames: number) {
  const fail = (problem: string): never => {
    throw new GlimtError("VIDEO_INVALID", `The video's metadata.${problem}`);
  };
  if (framesIndices && framesIndices.length !== numFrames) {
    fail(`framesIndices has ${framesIndices.length} entries, but ${numFrames} frames were given.`);
  }
  const last = framesIndices?.at(-1);
  if (last !== undefined && totalNumFrames !== undefined && last >= totalNumFrames) {
    fail(`framesIndices names frame ${last}, but totalNumFrames is ${totalNumFrames}.`);
  }
  if (!framesIndices && totalNumFrames !== undefined && totalNumFrames !== numFrames) {
    fail(
      `totalNumFrames is ${totalNumFrames}, but ${numFrames} frames were given; ` +
        "name the ones that were kept in metadata.framesIndices.",
    );
  }
  const frames = totalNumFrames ?? (framesIndices ? undefined : numFrames);
  if (!duration || fps === undefined || frames === undefined) return;
  const counted = frames / fps;
  if (Math.abs(duration - counted) > Math.max(DURATION_SECONDS_OFF, DURATION_SHARE_OFF * counted)) {
    fail(`duration is ${duration} s, but ${frames} frames at ${fps} a second last ${counted.toFixed(1)} s.`);
  }
}

/** Decodes frames by position, keeps the last one (it may be asked for twice), and holds all to the first's size. */
function frameReader(video: LoadedVideo): (position: number) => Promise<RgbImage> {
  let first: { readonly width: number; readonly height: number; readonly position: number } | undefined;
  let last: { readonly position: number; readonly image: RgbImage } | undefined;
  return async (position) => {
    if (last?.position === position) return last.image;
    const image = await video.frame(position);
    const { width, height } = image;
    first ??= { width, height, position };
    if (width !== first.width || height !== first.height) {
      throw new GlimtError(
        "VIDEO_INVALID",
        `Frame ${position} of the video is ${width} x ${height}, but frame ${first.position} is ` +
          `${first.width} x ${first.height}; all must be of one size.`,
      );
    }
    last = { position, image };
    return image;
  };
}
