/** Any video source to frames that are decoded when they are asked for. */

import { GlimtError } from "../errors.ts";
import { rgbaToRgb } from "./alpha.ts";
import type { Animation } from "./animation/animation.ts";
import { AnimationReader } from "./animation/compose.ts";
import { openAnimation } from "./animation/open.ts";
import { checkPixels, decodeImage, type MediaOptions } from "./decode-image.ts";
import { describeOther, FILE_KIND_NAMES, type FileKind, fileKind, isMovie } from "./file-kind.ts";
import type { RgbImage } from "./rgb-image.ts";
import { type FileSource, type ImageSource, mediaError, readSource } from "./source.ts";
import {
  type VideoFrames,
  type VideoMetadata,
  type VideoMetadataJson,
  type VideoSource,
  videoMetadata,
} from "./video-source.ts";

export type { VideoFrames, VideoMetadata, VideoSource } from "./video-source.ts";

export interface VideoOptions extends MediaOptions {
  /** Opens a directory of numbered frames, null when the path is a file's; environments without one have no paths. */
  readonly readFrameDirectory?: ((path: string | URL) => Promise<VideoFrames | null>) | undefined;
  /** Gives the environment WebCodecs when it has none. @throws CODEC_UNAVAILABLE */
  readonly loadWebCodecs?: (() => Promise<void>) | undefined;
  /** Milliseconds after which a movie decoder that gives no frame is given up; default a minute. */
  readonly stallMilliseconds?: number | undefined;
  /** What the caller knows better than the source, in either spelling; field by field. */
  readonly metadata?: VideoMetadata | VideoMetadataJson | undefined;
}

export interface LoadedVideo {
  readonly numFrames: number;
  readonly metadata: VideoMetadata;
  /**
   * Decodes one frame; ascending order is cheapest, and calls must not overlap. Throws as decodeImage does, and
   * VIDEO_INVALID for a frame that a file lacks.
   */
  frame(index: number): Promise<RgbImage>;
  /** Frees decoders; no frame can be read any more. */
  close(): Promise<void>;
}

/**
 * Opens a video without decoding a frame.
 *
 * @throws VIDEO_INVALID for a source without frames, one that can not be read, a file that is no video, or metadata
 * that is malformed; CODEC_UNAVAILABLE for an MP4 or WebM file where nothing can decode it.
 */
export async function loadVideo(source: VideoSource, options: VideoOptions = {}): Promise<LoadedVideo> {
  const given = options.metadata ? videoMetadata(options.metadata, "The video's metadata") : {};
  const video = await open(source, options);
  return { ...video, metadata: mergedMetadata(video.metadata, given) };
}

/** A duration that was counted at another rate says nothing. */
function mergedMetadata(own: VideoMetadata, given: VideoMetadata): VideoMetadata {
  return {
    fps: given.fps ?? own.fps,
    totalNumFrames: given.totalNumFrames ?? own.totalNumFrames,
    duration: given.duration ?? (given.fps === undefined ? own.duration : undefined),
    framesIndices: given.framesIndices ?? own.framesIndices,
  };
}

async function open(source: VideoSource, options: VideoOptions): Promise<LoadedVideo> {
  if (isFrames(source)) return openFrames(source, options);
  const isLocal = typeof source === "string" || source instanceof URL;
  if (isLocal && options.readFrameDirectory && !/^(https?|data|blob):/i.test(String(source))) {
    const directory = await options.readFrameDirectory(source);
    if (directory) return openFrames(directory, options);
  }
  return openFile(source, options);
}

function isFrames(source: VideoSource): source is VideoFrames {
  return typeof source === "object" && source !== null && "frames" in source;
}

function openFrames({ frames, metadata }: VideoFrames, options: VideoOptions): LoadedVideo {
  if (!Array.isArray(frames)) throw mediaError("Video", "frames must be a list of images.");
  if (frames.length === 0) throw new GlimtError("VIDEO_INVALID", "The video has no frames.");
  return {
    numFrames: frames.length,
    metadata: metadata ? videoMetadata(metadata, "The video's metadata") : {},
    frame: (index) => decodeImage(frames[index] as ImageSource, options),
    close: async () => {},
  };
}

/** Enough to tell every format. */
const SIGNATURE_BYTES = 64;

async function openFile(source: FileSource, options: VideoOptions): Promise<LoadedVideo> {
  if (source instanceof Blob) {
    const start = new Uint8Array(await source.slice(0, SIGNATURE_BYTES).arrayBuffer());
    // A long movie stays where it is.
    if (isMovie(fileKind(start))) return openMovieFile(source, blobName(source), options);
  }
  const { bytes, name } = await readSource(source, options, "Video");
  if (bytes.length === 0) throw mediaError("Video", `${name} is empty (0 bytes).`);
  const kind = fileKind(bytes);
  if (isMovie(kind)) return openMovieFile(bytes, name, options);
  const animation = kind && (await readAnimation(bytes, kind, name));
  if (animation) return openFramesOf(animation, name, options);
  throw mediaError(
    "Video",
    kind
      ? `${name} is a still ${FILE_KIND_NAMES[kind]} picture; give it as an image.`
      : `${name} is ${describeOther(bytes)}; give an MP4, WebM, animated GIF, WebP or PNG file, or frames.`,
  );
}

async function openMovieFile(file: Uint8Array | Blob, name: string, options: VideoOptions) {
  const { openMovie } = await import("./movie.ts");
  return openMovie(file, name, options);
}

function blobName(blob: Blob): string {
  return "name" in blob ? `file ${blob.name}` : `in a Blob of ${blob.size} bytes`;
}

async function readAnimation(bytes: Uint8Array, kind: FileKind, name: string): Promise<Animation | null> {
  try {
    return await openAnimation(bytes, kind);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw mediaError(
      "Video",
      `${name} is a truncated or corrupt ${FILE_KIND_NAMES[kind]} file: ${reason}.`,
      cause,
    );
  }
}

function openFramesOf(animation: Animation, name: string, options: VideoOptions): LoadedVideo {
  const { width, height, frames } = animation;
  checkPixels({ width, height }, options.maxDecodedPixels, name, "Video");
  const reader = new AnimationReader(animation);
  const duration = frames.reduce((sum, { seconds }) => sum + seconds, 0);
  return {
    numFrames: frames.length,
    metadata: { fps: frames.length / duration, totalNumFrames: frames.length, duration },
    frame: async (index) => {
      const rgba = await reader.frame(index).catch((cause) => {
        const place = `${name}: frame ${index} of ${frames.length} can not be decoded`;
        throw mediaError("Video", `${place}: the file is truncated or corrupt.`, cause);
      });
      return { data: rgbaToRgb(rgba, options.mode === "huggingface" ? "drop" : "white"), width, height };
    },
    close: async () => {},
  };
}
