/** A video as it is given: frames, and what is known of their timing. */

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

/** The same in Hugging Face's spelling, as metadata.json has it. */
export interface VideoMetadataJson {
  readonly fps?: number | null;
  readonly total_num_frames?: number | null;
  readonly duration?: number | null;
  readonly frames_indices?: readonly number[] | null;
}

export interface VideoFrames {
  /** All of one size. */
  readonly frames: readonly ImageSource[];
  readonly metadata?: VideoMetadata | VideoMetadataJson | undefined;
}

/** Frames with their metadata, or the path of a directory of numbered frames. */
export type VideoSource = VideoFrames | string | URL;

/** Checks metadata of either spelling. @throws VIDEO_INVALID naming the field that is wrong. */
export function videoMetadata(given: unknown, name: string): VideoMetadata {
  if (typeof given !== "object" || given === null || Array.isArray(given)) {
    throw new GlimtError("VIDEO_INVALID", `${name} must be an object.`);
  }
  const fields = given as Record<string, unknown>;
  const number = (key: string, jsonKey = key) => {
    const value = fields[key] ?? fields[jsonKey] ?? undefined;
    if (value === undefined || (typeof value === "number" && Number.isFinite(value))) return value;
    throw new GlimtError(
      "VIDEO_INVALID",
      `${name}: ${key} is ${JSON.stringify(value)}; it must be a number.`,
    );
  };
  const framesIndices = fields.framesIndices ?? fields.frames_indices ?? undefined;
  if (
    framesIndices !== undefined &&
    !(Array.isArray(framesIndices) && framesIndices.every(Number.isInteger))
  ) {
    throw new GlimtError("VIDEO_INVALID", `${name}: framesIndices must be a list of frame numbers.`);
  }
  return {
    fps: number("fps"),
    totalNumFrames: number("totalNumFrames", "total_num_frames"),
    duration: number("duration"),
    framesIndices,
  };
}
