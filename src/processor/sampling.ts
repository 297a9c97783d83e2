/** Which frames of a video the model sees, and the timestamp text behind each temporal patch. */

import type { ProcessorKind, VideoSamplingConfig } from "../config/types.ts";
import { GlimtError } from "../errors.ts";
import { readFields, shown } from "../given.ts";
import { roundHalfToEven } from "./smart-resize.ts";

/** How long a video is. */
export interface VideoTiming {
  /** Frames of the source video. */
  readonly totalNumFrames: number;
  /** Frames a second of the source video; sampling can not do without. */
  readonly fps: number | null | undefined;
  /** Seconds; derived from frames and fps when absent or 0. */
  readonly duration?: number | null | undefined;
}

type CheckedTiming = VideoTiming & { readonly fps: number };

/** What a checkpoint's processor says of sampling. */
export interface SamplingOptions {
  /** Longest duration that "glm4v" samples at the requested rate (`max_duration` of the video processor). */
  readonly maxDuration?: number;
  /** Frames in one temporal patch, which "glm46v" counts its rate in. */
  readonly temporalPatchSize?: number;
}

/** Frames that were chosen. */
export interface SampledFrames {
  /** Frame numbers, ascending; the last one twice when their number would be odd. */
  readonly indices: number[];
  /** Seconds of each of them. */
  readonly timestamps: number[];
  /** The timestamp text of each frame pair, as it stands in the prompt. */
  readonly labels: string[];
}

/** Assumed when frames were not sampled and the source names no rate. */
export const DEFAULT_FPS = 24;

const GLM4V_FPS = 2;
const GLM4V_MAX_DURATION = 300;
/** glm46v: [longest duration in seconds, temporal patches a second], and the limits over all of them. */
const GLM46V_RATES = [
  [30, 3],
  [300, 1],
  [Number.POSITIVE_INFINITY, 0.5],
] as const;
const GLM46V_MAX_DURATION = 2400;
const GLM46V_MAX_FRAMES = 640;

/**
 * Frames that the reference's video processors choose: Glm4vVideoProcessor and Glm46VVideoProcessor.sample_frames.
 *
 * One deliberate difference: where Glm46VVideoProcessor returns no frame at all (a video shorter than 1/6 s), the
 * first frame is taken.
 *
 * @param requestedFps frames a second for "glm4v" (default 2); "glm46v" sets its own rate and ignores it.
 * @throws VIDEO_INVALID for a video without frames or rate; OPTION_INVALID for another kind, or a requested rate that
 * is none.
 */
export function sampleVideoFrames(
  kind: ProcessorKind,
  timing: VideoTiming,
  requestedFps?: number,
  given?: SamplingOptions,
): SampledFrames {
  const options = readFields(given ?? {}, "sampleVideoFrames", ["maxDuration", "temporalPatchSize"]);
  for (const [name, value] of Object.entries(options)) {
    if (typeof value === "number" && value > 0) continue;
    throw new GlimtError("OPTION_INVALID", `${name} is ${shown(value)}, expected a number above 0.`);
  }
  const checked = checkTiming(readFields(timing, "timing", ["totalNumFrames", "fps", "duration"]));
  checkRequest(kind, requestedFps);
  const chosen =
    kind === "glm4v"
      ? sampleGlm4v(checked, requestedFps ?? GLM4V_FPS, options.maxDuration ?? GLM4V_MAX_DURATION)
      : sampleGlm46v(checked, options.temporalPatchSize ?? 2);
  const indices = [...new Set(chosen.length > 0 ? chosen : [0])];
  if (indices.length % 2 === 1) indices.push(indices.at(-1) as number);
  return framesAt(kind, indices, checked.fps);
}

/** Most frames that the checkpoint's processor samples of any video, at the rate it takes by itself. */
export function mostSampledFrames(
  kind: ProcessorKind,
  own: Omit<VideoSamplingConfig, "sampleFrames">,
): number {
  if (kind === "glm46v") return GLM46V_MAX_FRAMES;
  return Math.trunc((own.maxDuration ?? GLM4V_MAX_DURATION) * (own.fps ?? GLM4V_FPS));
}

/** The timestamps of frames that are used as they are; fps is DEFAULT_FPS when the source names none. */
export function framesAt(
  kind: ProcessorKind,
  indices: readonly number[],
  fps: number = DEFAULT_FPS,
): SampledFrames {
  const timestamps = indices.map((index) => index / fps);
  const labels = timestamps.filter((_, i) => i % 2 === 0).map((seconds) => timestampLabel(kind, seconds));
  return { indices: [...indices], timestamps, labels };
}

/** "3" for GLM-4.1V, "3.5 seconds" for GLM-4.6V. */
export function timestampLabel(kind: ProcessorKind, seconds: number): string {
  return kind === "glm4v" ? String(Math.trunc(seconds)) : `${oneDecimal(seconds)} seconds`;
}

function sampleGlm4v(
  { totalNumFrames, fps, ...timing }: CheckedTiming,
  rate: number,
  maxDuration: number,
): number[] {
  const last = totalNumFrames - 1;
  const duration = timing.duration || roundHalfToEven(last / fps) + 1;
  if (duration <= maxDuration) {
    const count = Math.max(Math.floor(duration * rate), 1);
    const frameOf = (sample: number) => Math.min(last, Math.ceil((sample * fps) / rate));
    if (count <= totalNumFrames) return Array.from({ length: count }, (_, sample) => frameOf(sample));
    // However many samples are asked for, there are no more frames than these: those that have one.
    return [...new Array(totalNumFrames).keys()].filter((frame) => {
      // About the first that lies behind the frame before.
      const near = Math.max(0, Math.floor(((frame - 1) * rate) / fps));
      return [near, near + 1, near + 2].some((sample) => sample < count && frameOf(sample) === frame);
    });
  }
  const count = Math.trunc(maxDuration * rate);
  if (count >= totalNumFrames) return Array.from({ length: totalNumFrames }, (_, i) => i);
  return linspace(0, duration, count).map((second) => Math.min(last, Math.ceil(second * fps)));
}

function sampleGlm46v(
  { totalNumFrames, fps, ...timing }: CheckedTiming,
  temporalPatchSize: number,
): number[] {
  const last = totalNumFrames - 1;
  const duration = timing.duration || roundHalfToEven(last / fps) + 1;
  const counted = Math.min(duration, GLM46V_MAX_DURATION);
  const [, rate] = GLM46V_RATES.find(([longest]) => counted <= longest) as (typeof GLM46V_RATES)[number];
  const count = Math.min(Math.trunc(counted * rate * temporalPatchSize), GLM46V_MAX_FRAMES);
  if (totalNumFrames < count) return wholeNumbers(linspace(0, last, count));

  const indices = everyInterval(
    totalNumFrames,
    1 / fps,
    1 / (temporalPatchSize * rate),
    Math.trunc(duration),
    count + 1,
  );
  if (indices.length < count) {
    return wholeNumbers(linspace(indices[0] as number, indices.at(-1) as number, count));
  }
  return indices.length > count ? wholeNumbers(linspace(0, last, count)) : indices;
}

/**
 * The first frame at or after each multiple of `interval` seconds, until `end`: the first `most` of them. Sums as the
 * reference does; the frames between, of which a long video has thousands of millions, are not looked at.
 */
function everyInterval(
  frames: number,
  secondsPerFrame: number,
  interval: number,
  end: number,
  most: number,
): number[] {
  const indices: number[] = [];
  let next = 0;
  for (let frame = 0; indices.length < most; frame++) {
    // Rounding may take the quotient past the frame, by less than one.
    frame = Math.max(frame, Math.floor(next / secondsPerFrame) - 1);
    while (frame * secondsPerFrame < next && frame < frames) frame++;
    if (frame >= frames) break;
    next += interval;
    indices.push(frame);
    if (next >= end) break;
  }
  return indices;
}

/** numpy.linspace with its rounding: start + i * step, and the end exactly. */
function linspace(start: number, stop: number, count: number): number[] {
  const step = (stop - start) / (count - 1);
  return Array.from({ length: count }, (_, i) =>
    i > 0 && i === count - 1 ? stop : i === 0 ? start : i * step + start,
  );
}

function wholeNumbers(values: number[]): number[] {
  return values.map(Math.floor);
}

/** Python's "{:.1f}": exact halves of the last digit go to the even one, where toFixed goes up. */
function oneDecimal(seconds: number): string {
  const isHalf = Number.isInteger(seconds * 4) && !Number.isInteger(seconds * 2);
  return (isHalf ? roundHalfToEven(seconds * 10) / 10 : seconds).toFixed(1);
}

function checkRequest(kind: ProcessorKind, requestedFps: number | undefined): void {
  if (kind !== "glm4v" && kind !== "glm46v") {
    throw new GlimtError("OPTION_INVALID", `kind is ${shown(kind)}, expected "glm4v" or "glm46v".`);
  }
  if (requestedFps !== undefined && !(Number.isFinite(requestedFps) && requestedFps > 0)) {
    throw new GlimtError(
      "OPTION_INVALID",
      `requestedFps is ${shown(requestedFps)}, expected a number above 0.`,
    );
  }
}

function checkTiming({ totalNumFrames, fps, duration }: VideoTiming): CheckedTiming {
  if (!Number.isInteger(totalNumFrames) || totalNumFrames < 1) {
    throw new GlimtError("VIDEO_INVALID", `A video of ${shown(totalNumFrames)} frames can not be sampled.`);
  }
  if (typeof fps !== "number" || !(fps > 0 && Number.isFinite(fps))) {
    throw new GlimtError(
      "VIDEO_INVALID",
      `Sampling needs the video's frames a second, but fps is ${shown(fps)}. Give metadata.fps, or switch sampling off.`,
    );
  }
  if (duration !== undefined && duration !== null && !(Number.isFinite(duration) && duration >= 0)) {
    throw new GlimtError("VIDEO_INVALID", `The video's duration is ${shown(duration)}; it must be seconds.`);
  }
  return { totalNumFrames, fps, duration };
}
