/** What differs between Node, browsers and GPU servers; an entry file supplies it. */
import type { Backend } from "../backends/backend.ts";
import type { CheckpointFiles } from "../checkpoint/files.ts";

export interface Platform {
  /** Backends that could be here, best first. */
  readonly backends: readonly Backend[];
  /** Opens a checkpoint: a directory path, a URL, or a set of files. @throws CHECKPOINT_NOT_FOUND */
  openFiles(location: ModelLocation): Promise<CheckpointFiles>;
  /** Reads a local picture; absent where there are no paths. */
  readonly readFile?: (path: string) => Promise<Uint8Array>;
  /** Lists a local directory (frames of a video); absent where there are no paths. */
  readonly listFolder?: (path: string) => Promise<string[] | null>;
}

/** A directory path, a URL, a URL's string, or files by name (as a browser's file picker gives them). */
export type ModelLocation = string | URL | ReadonlyMap<string, Blob>;
