/** A video as the processor takes it: frames, and what is known of their timing. */

import { GlimtError } from "../errors.ts";
import type { ImageSource } from "./source.ts";

export interface VideoMetadata {
  /** Frames a second of the source video. */
  readonly fps?: number | undefined;
  /** Frames of the source video; more than are given only together with framesIndices. */
  readonly totalNumFrames?: number | undefined;
  /** Seconds. */
  readonly duration?: number | undefined;
  /** Which frames of the source video are given, when they were sampled already. */
  readonly framesIndices?: readonly number[] | undefined;
}

export interface VideoFrames {
  /** All of one size. */
  readonly frames: readonly ImageSource[];
  readonly metadata?: VideoMetadata | undefined;
}

/** Frames with their metadata, or the path of a directory of numbered frames. */
export type VideoSource = VideoFrames | string | URL;

/** VideoMetadata from JSON in Hugging Face's spelling. @throws VIDEO_INVALID naming the field that is wrong. */
export function frameMetadata(json: unknown, name: string): VideoMetadata {
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    throw new GlimtError("VIDEO_INVALID", `${name} must hold a JSON object.`);
  }
  const fields = json as Record<string, unknown>;
  const number = (key: string) => {
    const value = fields[key] ?? undefined;
    if (value === undefined || (typeof value === "number" && Number.isFinite(value))) return value;
    throw new GlimtError(
      "VIDEO_INVALID",
      `${name}: ${key} is ${JSON.stringify(value)}; it must be a number.`,
    );
  };
  const indices = fields.frames_indices ?? undefined;
  if (indices !== undefined && !(Array.isArray(indices) && indices.every(Number.isInteger))) {
    throw new GlimtError("VIDEO_INVALID", `${name}: frames_indices must be a list of frame numbers.`);
  }
  return {
    fps: number("fps"),
    totalNumFrames: number("total_num_frames"),
    duration: number("duration"),
    framesIndices: indices,
  };
}
