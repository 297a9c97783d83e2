/** A video file to the frames of an animation, or the packets of a movie: what runs in a worker. */

import { rgbaToRgb } from "./alpha.ts";
import type { Animation } from "./animation/animation.ts";
import { AnimationReader } from "./animation/compose.ts";
import { openAnimation } from "./animation/open.ts";
import { checkAnimation, checkPixels } from "./check-pixels.ts";
import { FILE_KIND_NAMES, type FileKind, fileKind, isMovie } from "./file-kind.ts";
import { isOutOfMemory, outOfMemory } from "./memory.ts";
import type { MediaMode } from "./mode.ts";
import type { MovieContainer } from "./movie/container.ts";
import { movieAdvice } from "./movie-kind.ts";
import { describeOther } from "./other-files.ts";
import { mediaError } from "./source.ts";
import type { LoadedVideo } from "./video.ts";

export interface VideoFileOptions {
  readonly mode?: MediaMode | undefined;
  readonly maxDecodedPixels?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Movies are decoded elsewhere: see movie/play.ts. */
export type VideoFile =
  | { readonly animation: LoadedVideo; readonly movie?: undefined }
  | { readonly movie: MovieContainer; readonly animation?: undefined };

/**
 * Opens an animation or a movie without decoding a frame.
 *
 * @param file a Blob is a movie, which stays where it is.
 * @param name what to call the file in an error.
 * @throws VIDEO_INVALID for a file that is empty, truncated, corrupt, a still picture or no video; IMAGE_TOO_LARGE;
 * OUT_OF_MEMORY; ABORTED.
 */
export async function openVideoFile(
  file: Uint8Array | Blob,
  name: string,
  options: VideoFileOptions,
): Promise<VideoFile> {
  if (file instanceof Blob) return openMovieFile(file, name, options);
  if (file.length === 0) throw mediaError("Video", `${name} is empty (0 bytes).`);
  const kind = fileKind(file);
  if (isMovie(kind)) return openMovieFile(file, name, options);
  const animation = kind && (await readAnimation(file, kind, name));
  if (animation) return { animation: openFramesOf(animation, name, options) };
  throw mediaError(
    "Video",
    kind
      ? `${name} is a still ${FILE_KIND_NAMES[kind]} picture; give it as an image.`
      : `${name} is ${describeOther(file)}; ${movieAdvice(file)}.`,
  );
}

async function openMovieFile(
  file: Uint8Array | Blob,
  name: string,
  options: VideoFileOptions,
): Promise<VideoFile> {
  const { openContainer } = await import("./movie/container.ts");
  return { movie: await openContainer(file, name, options) };
}

async function readAnimation(bytes: Uint8Array, kind: FileKind, name: string): Promise<Animation | null> {
  try {
    return await openAnimation(bytes, kind);
  } catch (cause) {
    if (isOutOfMemory(cause)) throw outOfMemory("Video", name, cause);
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw mediaError(
      "Video",
      `${name} is a truncated or corrupt ${FILE_KIND_NAMES[kind]} file: ${reason}.`,
      cause,
    );
  }
}

function openFramesOf(animation: Animation, name: string, options: VideoFileOptions): LoadedVideo {
  const { width, height, frames } = animation;
  checkPixels({ width, height }, options.maxDecodedPixels, name, "Video");
  checkAnimation(frames, options.maxDecodedPixels, name);
  const reader = new AnimationReader(animation);
  const duration = frames.reduce((sum, { seconds }) => sum + seconds, 0);
  return {
    numFrames: frames.length,
    metadata: { fps: frames.length / duration, totalNumFrames: frames.length, duration },
    frame: async (index) => {
      const rgba = await reader.frame(index).catch((cause) => {
        if (isOutOfMemory(cause)) throw outOfMemory("Video", name, cause);
        const place = `${name}: frame ${index} of ${frames.length} can not be decoded`;
        throw mediaError("Video", `${place}: the file is truncated or corrupt.`, cause);
      });
      return { data: rgbaToRgb(rgba, options.mode === "huggingface" ? "drop" : "white"), width, height };
    },
    close: async () => {},
  };
}
