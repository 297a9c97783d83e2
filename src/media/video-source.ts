/** A video as it is given: frames, and what is known of their timing. */

import { GlimtError } from "../errors.ts";
import { shown } from "../given.ts";
import type { FileSource, ImageSource } from "./source.ts";

/** What is known of a video's timing. */
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
  /** Frames a second of the source video. */
  readonly fps?: number | null;
  /** Frames of the source video. */
  readonly total_num_frames?: number | null;
  /** Seconds. */
  readonly duration?: number | null;
  /** Which frames of the source video are given. */
  readonly frames_indices?: readonly number[] | null;
}

/** A video as its frames. */
export interface VideoFrames {
  /** All of one size. */
  readonly frames: readonly ImageSource[];
  /** Their timing; without it they are taken to be all frames, at 24 a second. */
  readonly metadata?: VideoMetadata | VideoMetadataJson | undefined;
}

/**
 * An animated GIF, WebP or PNG, an MP4, QuickTime, WebM, Matroska or MPEG-TS file, the path of a directory of numbered
 * frames, or frames with their metadata.
 */
export type VideoSource = FileSource | VideoFrames;

/** In both spellings, and what Hugging Face's objects say beside, which the frames say themselves. */
const METADATA_KEYS = [
  ...["fps", "totalNumFrames", "duration", "framesIndices"],
  ...["total_num_frames", "frames_indices", "width", "height", "video_backend"],
];

/** A caller's, where a misspelt field would do nothing. @throws VIDEO_INVALID naming the field */
export function givenMetadata(given: unknown): VideoMetadata {
  const name = "The video's metadata";
  const metadata = videoMetadata(given, name);
  const unknown = Object.keys(given as object).find((key) => !METADATA_KEYS.includes(key));
  if (unknown === undefined) return metadata;
  throw new GlimtError(
    "VIDEO_INVALID",
    `${name} has no field ${shown(unknown)}; it has fps, totalNumFrames, duration and framesIndices.`,
  );
}

/** Checks metadata of either spelling; files may say more. @throws VIDEO_INVALID naming the field that is wrong. */
export function videoMetadata(given: unknown, name: string): VideoMetadata {
  if (typeof given !== "object" || given === null || Array.isArray(given) || given instanceof Map) {
    throw new GlimtError("VIDEO_INVALID", `${name} must be an object.`);
  }
  const fields = given as Record<string, unknown>;
  const number = (key: string, jsonKey: string, expected: string, isValid: (value: number) => boolean) => {
    const value = fields[key] ?? fields[jsonKey] ?? undefined;
    if (value === undefined || (typeof value === "number" && Number.isFinite(value) && isValid(value))) {
      return value;
    }
    throw new GlimtError("VIDEO_INVALID", `${name}: ${key} is ${shown(value)}; it must be ${expected}.`);
  };
  return {
    fps: number("fps", "fps", "frames a second, above 0", (value) => value > 0),
    totalNumFrames: number(
      "totalNumFrames",
      "total_num_frames",
      "a whole number from 1",
      (value) => Number.isInteger(value) && value >= 1,
    ),
    duration: number("duration", "duration", "seconds, not negative", (value) => value >= 0),
    framesIndices: frameIndices(fields.framesIndices ?? fields.frames_indices ?? undefined, name),
  };
}

function frameIndices(given: unknown, name: string): readonly number[] | undefined {
  if (given === undefined) return undefined;
  const isAscending =
    Array.isArray(given) &&
    given.every((index, i) => Number.isInteger(index) && index >= 0 && index >= (given[i - 1] ?? 0));
  if (isAscending) return given;
  throw new GlimtError("VIDEO_INVALID", `${name}: framesIndices must be a list of frame numbers, ascending.`);
}
