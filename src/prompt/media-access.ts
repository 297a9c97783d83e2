/** What reading pictures and videos takes of the host. */
import type { MediaWorkers } from "../media/media-workers.ts";
import type { RequestPublic } from "../media/sources/http.ts";
import type { Reading } from "../media/sources/reading.ts";
import type { VideoFrames } from "../media/video-source.ts";

export interface MediaAccess {
  /** Reads a local file; absent where there are no paths. */
  readonly readFile?: (path: string | URL, reading: Reading) => Promise<Uint8Array>;
  /** Opens a local directory of numbered frames as a video, null for a file; absent where there are no paths. */
  readonly readFrameDirectory?: (path: string | URL, reading: Reading) => Promise<VideoFrames | null>;
  /** Requests to public hosts alone; absent where the addresses of a name can not be seen. */
  readonly requestPublic?: RequestPublic;
  /** Brings WebCodecs, which decode MP4 and WebM files, where they are not built in. @throws CODEC_UNAVAILABLE */
  readonly loadWebCodecs?: () => Promise<void>;
  /** The workers in which files are parsed, started from another place of the worker's file when one is given. */
  readonly mediaWorkers?: (workerUrl: string | URL | undefined) => MediaWorkers;
}
