/** Any video source to frames that are decoded when they are asked for. */

import { GlimtError } from "../errors.ts";
import { decodeImage, type MediaOptions } from "./decode-image.ts";
import type { RgbImage } from "./rgb-image.ts";
import type { ImageSource } from "./source.ts";
import { type VideoFrames, type VideoMetadata, type VideoSource, videoMetadata } from "./video-source.ts";

export type { VideoFrames, VideoMetadata, VideoSource } from "./video-source.ts";

export interface VideoOptions extends MediaOptions {
  /** Opens a directory of numbered frames; environments without one have no directories. */
  readonly readFrameDirectory?: ((path: string | URL) => Promise<VideoFrames>) | undefined;
}

export interface LoadedVideo {
  readonly numFrames: number;
  readonly metadata: VideoMetadata;
  /** Decodes one frame. Throws as decodeImage does. */
  frame(index: number): Promise<RgbImage>;
}

/**
 * Opens a video without decoding a frame.
 *
 * @throws VIDEO_INVALID for a source without frames, a path that is no directory, or metadata that is malformed.
 */
export async function loadVideo(source: VideoSource, options: VideoOptions = {}): Promise<LoadedVideo> {
  const isAddress = typeof source === "string" || source instanceof URL;
  const { frames, metadata } = isAddress ? await openDirectory(source, options) : source;
  if (!Array.isArray(frames)) {
    throw new GlimtError("VIDEO_INVALID", "A video must be a directory path or { frames: [...], metadata }.");
  }
  if (frames.length === 0) throw new GlimtError("VIDEO_INVALID", "The video has no frames.");
  return {
    numFrames: frames.length,
    metadata: metadata ? videoMetadata(metadata, "The video's metadata") : {},
    frame: (index) => decodeImage(frames[index] as ImageSource, options),
  };
}

async function openDirectory(path: string | URL, { readFrameDirectory }: VideoOptions): Promise<VideoFrames> {
  if (readFrameDirectory) return readFrameDirectory(path);
  throw new GlimtError(
    "VIDEO_INVALID",
    `Video ${path}: there are no directories here; give { frames: [...] }.`,
  );
}
