/** The video processor: chosen frames are decoded a temporal patch at a time, so only a few are ever in memory. */

import type { ImageProcessorConfig, ProcessorKind } from "../config/types.ts";
import { GlimtError, throwIfAborted } from "../errors.ts";
import type { RgbImage } from "../media/rgb-image.ts";
import type { LoadedVideo } from "../media/video.ts";
import { type PixelOptions, type ProcessedPixels, patchLength } from "./image.ts";
import { normaliseTable } from "./normalise.ts";
import { patchify } from "./patchify.ts";
import { resizeBicubic } from "./resize.ts";
import { framesAt, type SampledFrames, type SamplingOptions, sampleVideoFrames } from "./sampling.ts";
import { videoSize } from "./sizes.ts";

export interface FrameChoice extends SamplingOptions {
  /**
   * true: choose frames as the checkpoint's processor does, which needs metadata.fps. false: use all frames as given.
   * Default: choose when the rate is known and the frames were not sampled before.
   */
  readonly sampleFrames?: boolean | undefined;
  /** Frames a second to sample, where the processor kind leaves a choice. */
  readonly fps?: number | undefined;
}

export interface VideoOptions extends PixelOptions, FrameChoice {
  readonly signal?: AbortSignal | undefined;
  /** Called after each temporal patch. */
  readonly onProgress?: ((framesDone: number, framesTotal: number) => void) | undefined;
}

/** Timestamps, labels and grid belong to the chosen frames. */
export interface ProcessedVideo extends ProcessedPixels, SampledFrames {}

/**
 * Frames to pixelValues, grid and the timestamp labels of the prompt.
 *
 * Equal to Hugging Face's video processors, except that a single frame that is not sampled is repeated to fill its
 * temporal patch, which they refuse.
 *
 * @throws VIDEO_INVALID for no frames, frames of different sizes, or metadata that contradicts them; what
 * decoding a frame throws; ABORTED.
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
  const positions = video.metadata.framesIndices ? chosen.indices.map((_, i) => i) : chosen.indices;
  const frameAt = frameReader(video);

  const { width, height } = await frameAt(positions[0] as number);
  const { resizedWidth, resizedHeight, gridThw } = videoSize(positions.length, width, height, config);
  const [t, h, w] = gridThw;
  const table = normaliseTable(config, rounding);
  const floatsPerStep = h * w * patchLength(config);
  const pixelValues = new Float32Array(t * floatsPerStep);
  for (let step = 0; step < t; step++) {
    const frames: Uint8Array[] = [];
    for (let i = step * temporalPatchSize; i < (step + 1) * temporalPatchSize; i++) {
      const position = positions[Math.min(i, positions.length - 1)] as number;
      const { data } = await frameAt(position);
      frames.push(resizeBicubic(data, width, height, resizedWidth, resizedHeight, { rounding }));
    }
    const out = pixelValues.subarray(step * floatsPerStep, (step + 1) * floatsPerStep);
    patchify(frames, resizedWidth, resizedHeight, config, table, out);
    options.onProgress?.(Math.min((step + 1) * temporalPatchSize, positions.length), positions.length);
    await eventLoopTurn();
    throwIfAborted(options.signal);
  }
  return { pixelValues, gridThw, resizedWidth, resizedHeight, ...chosen };
}

/** Which frames of a video are used, and their timing. Touches no pixel. Throws as processVideo does. */
export function chooseFrames(
  { numFrames, metadata }: Pick<LoadedVideo, "numFrames" | "metadata">,
  kind: ProcessorKind,
  options: FrameChoice = {},
): SampledFrames {
  const { fps, totalNumFrames, duration, framesIndices } = metadata;
  if (framesIndices) {
    if (framesIndices.length !== numFrames) {
      const counts = `${framesIndices.length} entries, but ${numFrames} frames were given`;
      throw new GlimtError("VIDEO_INVALID", `The video's metadata.framesIndices has ${counts}.`);
    }
    if (options.sampleFrames) {
      throw new GlimtError(
        "VIDEO_INVALID",
        "The video's frames were sampled already (metadata.framesIndices).",
      );
    }
    return framesAt(kind, framesIndices, fps);
  }
  if (totalNumFrames !== undefined && totalNumFrames !== numFrames) {
    throw new GlimtError(
      "VIDEO_INVALID",
      `The video's metadata.totalNumFrames is ${totalNumFrames}, but ${numFrames} frames were given; ` +
        "name the ones that were kept in metadata.framesIndices.",
    );
  }
  if (options.sampleFrames ?? fps !== undefined) {
    return sampleVideoFrames(kind, { totalNumFrames: numFrames, fps, duration }, options.fps, options);
  }
  return framesAt(kind, [...new Array(numFrames).keys()], fps);
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

/** Lets timers and abort events run between two pieces of work. */
function eventLoopTurn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
