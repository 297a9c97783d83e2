/**
 * Plays what is in a video container: MP4, QuickTime, WebM, Matroska, MPEG-TS. Loaded with the first such file, on the
 * thread of the caller: WebCodecs of Node takes the process down when a worker is ended that uses it.
 */

import { GlimtError } from "../../errors.ts";
import type { LoadedVideo } from "../video.ts";
import type { MovieContainer } from "./container.ts";
import { MoviePlayer, type PlayerOptions } from "./player.ts";
import { undecodable } from "./refusals.ts";

export interface PlayOptions extends PlayerOptions {
  /** Gives the environment WebCodecs when it has none. @throws CODEC_UNAVAILABLE */
  readonly loadWebCodecs?: (() => Promise<void>) | undefined;
}

/** @throws VIDEO_INVALID for a codec that is not there; CODEC_UNAVAILABLE without WebCodecs. */
export async function playMovie(
  movie: MovieContainer,
  name: string,
  options: PlayOptions,
): Promise<LoadedVideo> {
  await requireWebCodecs(name, options);
  const { config, frames, fps } = movie.index;
  if (!(await canDecode(config))) throw undecodable(name, config.codec);
  const player = new MoviePlayer(movie, name, options);
  const numFrames = frames.length;
  return {
    numFrames,
    metadata: { fps, totalNumFrames: numFrames, duration: fps && numFrames / fps },
    frame: (index) => player.frame(index),
    close: async () => {
      player.stop();
      await movie.close();
    },
  };
}

async function requireWebCodecs(name: string, { loadWebCodecs }: PlayOptions): Promise<void> {
  if (typeof VideoDecoder === "function") return;
  if (loadWebCodecs) return loadWebCodecs();
  throw new GlimtError(
    "CODEC_UNAVAILABLE",
    `Video ${name} needs WebCodecs, which this environment lacks; give its frames as { frames: [...], metadata }.`,
  );
}

async function canDecode(config: VideoDecoderConfig): Promise<boolean> {
  try {
    return (await VideoDecoder.isConfigSupported(config)).supported === true;
  } catch {
    // A description that makes no sense.
    return false;
  }
}
