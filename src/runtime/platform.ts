/** What differs between Node, browsers and GPU servers; an entry file supplies it. */
import type { Backend } from "../backends/backend.ts";
import type { CheckpointFiles } from "../checkpoint/files.ts";
import type { HttpOptions } from "../checkpoint/http.ts";
import type { VideoFrames } from "../media/video-source.ts";

export interface Platform {
  /** Backends that could be here, best first. */
  readonly backends: readonly Backend[];
  /** Opens a checkpoint: a directory path, a URL, or a set of files. @throws CHECKPOINT_NOT_FOUND */
  openFiles(location: ModelLocation, options?: Pick<HttpOptions, "headers">): Promise<CheckpointFiles>;
  /** Reads a local file; absent where there are no paths. */
  readonly readFile?: (path: string | URL) => Promise<Uint8Array>;
  /** Opens a local directory of numbered frames as a video, null for a file; absent where there are no paths. */
  readonly readFrameDirectory?: (path: string | URL) => Promise<VideoFrames | null>;
  /** Brings WebCodecs, which decode MP4 and WebM files, where they are not built in. @throws CODEC_UNAVAILABLE */
  readonly loadWebCodecs?: () => Promise<void>;
}

/** A directory path, a URL, or files by name (as a browser's file picker gives them). */
export type ModelLocation = string | URL | ReadonlyMap<string, Blob> | readonly File[];
