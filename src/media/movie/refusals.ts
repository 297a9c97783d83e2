/** Errors about video files that are whole, and not for us. */

import type { GlimtError } from "../../errors.ts";
import { mediaError } from "../source.ts";

/** @param codec as the file or WebCodecs calls it. */
export function undecodable(name: string, codec: string): GlimtError {
  const printable = codec.replace(/[^ -~]/g, "?").slice(0, 40);
  return mediaError(
    "Video",
    `${name}: its codec (${printable}) can not be decoded here; convert it to H.264 or VP9.`,
  );
}

/** @param state completes "its video is ...". */
export function refused(name: string, state: string): GlimtError {
  return mediaError(
    "Video",
    `${name}: its video is ${state}, which is not read; store it again without that.`,
  );
}

export function noVideo(name: string, hasSound: boolean): GlimtError {
  if (hasSound)
    return mediaError("Video", `${name} has no video track, only sound; give a file with pictures.`);
  return mediaError("Video", `${name} has no video track, or is cut short before it.`);
}

export function segment(name: string): GlimtError {
  return mediaError(
    "Video",
    `${name} is a segment of a stream without its beginning; put the initialisation segment before it (cat init.mp4 segment.m4s).`,
  );
}
