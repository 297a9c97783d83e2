/** Any video source to frames that are decoded when they are asked for. */

import { GlimtError } from "../errors.ts";
import { decodeImage, type MediaOptions } from "./decode-image.ts";
import { callOptions, mediaWorkers, ownBytes } from "./media-workers.ts";
import { checkMode } from "./mode.ts";
import type { RgbImage } from "./rgb-image.ts";
import {
  type FileSource,
  type ImageSource,
  mediaError,
  movieBlob,
  readDirectory,
  readSource,
} from "./source.ts";
import type { Reading } from "./sources/reading.ts";
import {
  givenMetadata,
  type VideoFrames,
  type VideoMetadata,
  type VideoMetadataJson,
  type VideoSource,
} from "./video-source.ts";

export type { VideoFrames, VideoMetadata, VideoSource } from "./video-source.ts";

export interface VideoOptions extends MediaOptions {
  /** Opens a directory of numbered frames, null when the path is a file's; environments without one have no paths. */
  readonly readFrameDirectory?:
    | ((path: string | URL, reading: Reading) => Promise<VideoFrames | null>)
    | undefined;
  /** Milliseconds after which a movie decoder that gives no frame is given up; default 20 seconds. */
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
 * Opens a video without decoding a frame. A file is parsed in a worker where `workers` has one, which it keeps until it
 * is closed; bytes of the caller's stay the caller's.
 *
 * @throws VIDEO_INVALID for a source without frames, one that can not be read, a file that is no video, or metadata
 * that is malformed; CODEC_UNAVAILABLE for an MP4 or WebM file where nothing can decode it; OUT_OF_MEMORY; TIMED_OUT; ABORTED.
 */
export async function loadVideo(source: VideoSource, options: VideoOptions = {}): Promise<LoadedVideo> {
  checkMode(options.mode ?? "default");
  const given = options.metadata ? givenMetadata(options.metadata) : {};
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
  const { readFrameDirectory } = options;
  const directory = readFrameDirectory && (await readDirectory(source, options, readFrameDirectory));
  if (directory) return openFrames(directory, options);
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
    metadata: metadata ? givenMetadata(metadata) : {},
    frame: (index) => decodeImage(frames[index] as ImageSource, options),
    close: async () => {},
  };
}

async function openFile(source: FileSource, options: VideoOptions): Promise<LoadedVideo> {
  const { file, name, transfer } = await videoFile(source, options);
  const call = callOptions("Video", name, options);
  const lease = await mediaWorkers(options).lease(call);
  const { mode, maxDecodedPixels } = options;
  try {
    const opened = await lease.call(
      "openVideo",
      { file, name, mode, maxDecodedPixels },
      { ...call, transfer },
    );
    const { id } = opened;
    const close = async () => {
      // A worker that does not close what it opened is ended with it.
      if (!lease.isEnded) await lease.call("closeVideo", { id }, CLOSING).catch(() => {});
      lease.release();
    };
    if (!opened.movie) {
      const { numFrames, metadata } = opened;
      return { numFrames, metadata, frame: (index) => lease.call("videoFrame", { id, index }, call), close };
    }
    const { playMovie } = await import("./movie/play.ts");
    const movie = {
      index: opened.movie,
      keyFor: (packet: number) => lease.call("movieKeyFor", { id, packet }, call),
      packets: (from: number, to: number) => lease.call("moviePackets", { id, from, to }, call),
      close,
    };
    try {
      return await playMovie(movie, name, { ...options, timeout: call.timeout, late: call.errors.late });
    } catch (error) {
      await close();
      throw error;
    }
  } catch (error) {
    lease.release();
    throw error;
  }
}

/** What a worker can be given of a source. */
async function videoFile(source: FileSource, options: VideoOptions) {
  const movie = await movieBlob(source, options);
  if (movie) return { ...movie, transfer: [] };
  const read = await readSource(source, options, "Video");
  const bytes = ownBytes(read, "Video");
  return { file: bytes, name: read.name, transfer: [bytes.buffer] };
}

const CLOSING = callOptions("Video", "that was closed", { decodeTimeout: 1000 });
