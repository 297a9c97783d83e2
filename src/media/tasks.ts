/** What of pictures and videos runs in a worker: everything that parses a stranger's file. */

import { handOver } from "../workers/task.ts";
import { decodeStill, type StillOptions } from "./decode-still.ts";
import type { MovieIndex } from "./movie/container.ts";
import type { RgbImage } from "./rgb-image.ts";
import { openVideoFile, type VideoFile, type VideoFileOptions } from "./video-file.ts";
import type { VideoMetadata } from "./video-source.ts";

export interface StillInput extends StillOptions {
  readonly bytes: Uint8Array;
  /** What to call it in an error. */
  readonly name: string;
}

export interface VideoInput extends Omit<VideoFileOptions, "signal"> {
  readonly file: Uint8Array | Blob;
  readonly name: string;
}

/** A movie's frames are decoded by the caller; an animation's are asked for one by one. */
export type OpenedVideo = {
  /** For the other tasks about this video. */
  readonly id: number;
} & (
  | { readonly movie: MovieIndex }
  | { readonly movie?: undefined; readonly numFrames: number; readonly metadata: VideoMetadata }
);

export type MediaTasks = ReturnType<typeof mediaTasks>;

export function mediaTasks() {
  const videos = new Map<number, VideoFile>();
  let lastId = 0;
  const find = <Kind extends keyof VideoFile>(id: number, kind: Kind) => {
    const found = videos.get(id)?.[kind];
    if (!found) throw new Error(`no ${kind} ${id} is open`);
    return found;
  };
  return {
    async decodeStill({ bytes, name, ...options }: StillInput): Promise<RgbImage> {
      return withPixels(await decodeStill(bytes, name, options));
    },

    async openVideo({ file, name, ...options }: VideoInput, signal: AbortSignal): Promise<OpenedVideo> {
      const video = await openVideoFile(file, name, { ...options, signal });
      const id = ++lastId;
      videos.set(id, video);
      if (video.movie) return { id, movie: video.movie.index };
      const { numFrames, metadata } = video.animation;
      return { id, numFrames, metadata };
    },

    async videoFrame({ id, index }: { id: number; index: number }): Promise<RgbImage> {
      return withPixels(await find(id, "animation").frame(index));
    },

    async movieKeyFor({ id, packet }: { id: number; packet: number }): Promise<number> {
      return find(id, "movie").keyFor(packet);
    },

    async moviePackets({ id, from, to }: { id: number; from: number; to: number }) {
      const packets = await find(id, "movie").packets(from, to);
      return handOver(
        packets,
        packets.map(({ buffer }) => buffer),
      );
    },

    async closeVideo({ id }: { id: number }): Promise<void> {
      const video = videos.get(id);
      videos.delete(id);
      await (video?.movie ?? video?.animation)?.close();
    },
  };
}

function withPixels(image: RgbImage): RgbImage {
  return handOver(image, [image.data.buffer as ArrayBuffer]);
}
