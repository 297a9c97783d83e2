/** What of pictures and videos runs in a worker: everything that parses a stranger's file. */

import { handOver } from "../workers/task.ts";
import { decodeStill, type StillOptions } from "./decode-still.ts";
import type { RgbImage } from "./rgb-image.ts";
import type { LoadedVideo } from "./video.ts";
import { openVideoFile, type VideoFileOptions } from "./video-file.ts";
import type { VideoMetadata } from "./video-source.ts";

export interface StillInput extends StillOptions {
  readonly bytes: Uint8Array;
  /** What to call it in an error. */
  readonly name: string;
}

export interface VideoInput extends Omit<VideoFileOptions, "signal" | "loadWebCodecs"> {
  readonly file: Uint8Array | Blob;
  readonly name: string;
}

export interface OpenedVideo {
  /** For the other tasks about this video. */
  readonly id: number;
  readonly numFrames: number;
  readonly metadata: VideoMetadata;
}

export type MediaTasks = ReturnType<typeof mediaTasks>;

/** @param host what videos take of the runtime. */
export function mediaTasks({ loadWebCodecs }: Pick<VideoFileOptions, "loadWebCodecs">) {
  const videos = new Map<number, LoadedVideo>();
  let lastId = 0;
  return {
    async decodeStill({ bytes, name, ...options }: StillInput): Promise<RgbImage> {
      return withPixels(await decodeStill(bytes, name, options));
    },

    async openVideo({ file, name, ...options }: VideoInput, signal: AbortSignal): Promise<OpenedVideo> {
      const video = await openVideoFile(file, name, { ...options, loadWebCodecs, signal });
      const id = ++lastId;
      videos.set(id, video);
      return { id, numFrames: video.numFrames, metadata: video.metadata };
    },

    async videoFrame({ id, index }: { id: number; index: number }): Promise<RgbImage> {
      const video = videos.get(id);
      if (!video) throw new Error(`no video ${id} is open`);
      return withPixels(await video.frame(index));
    },

    async closeVideo({ id }: { id: number }): Promise<void> {
      const video = videos.get(id);
      videos.delete(id);
      await video?.close();
    },
  };
}

function withPixels(image: RgbImage): RgbImage {
  return handOver(image, [image.data.buffer as ArrayBuffer]);
}
