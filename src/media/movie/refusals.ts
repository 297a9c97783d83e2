/** Errors about video files that are not for us, and about damaged ones. */

import { GlimtError } from "../../errors.ts";
import { isOutOfMemory, outOfMemory } from "../memory.ts";
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

export function noKeyFrame(name: string): GlimtError {
  return mediaError(
    "Video",
    `${name} has no frame that decoding can begin with (a key frame); cut it elsewhere, or encode it again.`,
  );
}

export function nothingShown(name: string): GlimtError {
  return mediaError(
    "Video",
    `${name} shows none of its frames: its edit list is empty; store it without one.`,
  );
}

/** An error of ours as it is, and want of memory; what else fails in a file is the file's fault. */
export function damaged(name: string, error: unknown): GlimtError {
  if (error instanceof GlimtError) return error;
  if (isOutOfMemory(error)) return outOfMemory("Video", name, error);
  const reason = reasonOf(error);
  if (SEGMENT.test(reason)) {
    return mediaError(
      "Video",
      `${name} is a segment of a stream without its beginning; put the initialisation segment before it ` +
        "(cat init.mp4 segment.m4s).",
    );
  }
  return mediaError("Video", `${name} can not be read: the file is truncated or corrupt (${reason}).`, error);
}

/** mediabunny's words when `moof` comes first. */
const SEGMENT = /no "moov" box present/;

/** What mediabunny says that would mislead: it asks for reports of files that are only damaged. */
const WORDS: readonly [begins: RegExp, instead: string][] = [
  [/^(Tried reading \[|Slicing outside)/, "a part of it reaches past its end"],
  [/^Invalid TS packet sync byte/, "a packet does not begin where it has to"],
  [/^Assertion failed/, "parts of it contradict each other"],
  [/^Input has an unsupported/, "it does not begin as such a file does"],
  [/^Undefined element size/, "an element of it has no size"],
];

function reasonOf(cause: unknown): string {
  const message = messageOf(cause);
  return WORDS.find(([begins]) => begins.test(message))?.[1] ?? message;
}

/** Without its full stop. */
export function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message.replace(/[.\s]+$/, "") : String(cause);
}
