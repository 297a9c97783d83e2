/** How the media room asks for its tasks. */

import { GlimtError } from "../errors.ts";
import type { CallOptions } from "../workers/task.ts";
import { HeapOutgrown } from "../workers/thread.ts";
import { Workers } from "../workers/workers.ts";
import { isOutOfMemory, newBytes, outOfMemory } from "./memory.ts";
import type { MediaMode } from "./mode.ts";
import { type EncodedFile, type MediaNoun, mediaError } from "./source.ts";
import type { MediaTasks } from "./tasks.ts";

export type MediaWorkers = Workers<MediaTasks>;

export interface DecodingOptions {
  readonly mode?: MediaMode | undefined;
  /** Pictures and frames of more pixels are refused before they are decoded. Default 100 million. */
  readonly maxDecodedPixels?: number | undefined;
  /** Milliseconds for decoding a picture or a frame, or for opening a video; default 30 seconds. */
  readonly decodeTimeout?: number | undefined;
  /** Where files are parsed. Default: on this thread. */
  readonly workers?: MediaWorkers | undefined;
  /** Gives the environment WebCodecs when it has none. @throws CODEC_UNAVAILABLE */
  readonly loadWebCodecs?: (() => Promise<void>) | undefined;
  readonly signal?: AbortSignal | undefined;
}

const DEFAULT_DECODE_TIMEOUT = 30_000;

export function mediaWorkers({ workers }: DecodingOptions): MediaWorkers {
  return workers ?? new Workers({ starts: [], version: "", inline: inlineTasks });
}

/** The tasks for this thread. */
export async function inlineTasks(): Promise<MediaTasks> {
  const { mediaTasks } = await import("./tasks.ts");
  return mediaTasks();
}

/** Bytes that may be handed over, in a buffer of their own: the caller's are copied. @throws OUT_OF_MEMORY */
export function ownBytes({ bytes, name, isOwn }: EncodedFile, noun: MediaNoun): Uint8Array<ArrayBuffer> {
  const isWhole = bytes.buffer instanceof ArrayBuffer && bytes.byteLength === bytes.buffer.byteLength;
  return isOwn && isWhole ? (bytes as Uint8Array<ArrayBuffer>) : newBytes(bytes, noun, name);
}

/** What a call about the file `name` says when it fails, and how long it may take. */
export function callOptions(
  noun: MediaNoun,
  name: string,
  { signal, decodeTimeout = DEFAULT_DECODE_TIMEOUT }: DecodingOptions,
  transfer: readonly Transferable[] = [],
): CallOptions {
  return {
    transfer,
    signal,
    timeout: decodeTimeout,
    errors: {
      late: (milliseconds) =>
        new GlimtError(
          "TIMED_OUT",
          `${noun} ${name} was not decoded within ${milliseconds} ms: it is large, or made to take long. ` +
            "Raise the option decodeTimeout if you trust it.",
        ),
      died: (reason, cause) =>
        cause instanceof HeapOutgrown
          ? outOfMemory(noun, name, cause)
          : mediaError(
              noun,
              `${name} can not be decoded: the worker that read it is gone (${reason}).`,
              cause,
            ),
      failed: (cause) =>
        isOutOfMemory(cause)
          ? outOfMemory(noun, name, cause)
          : mediaError(noun, `${name} can not be decoded: ${(cause as Error)?.message ?? cause}.`, cause),
    },
  };
}
