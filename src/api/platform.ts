/** What differs between Node, browsers and GPU servers; an entry file supplies it. */
import type { Backend } from "../backends/backend.ts";
import type { OpenFiles } from "../checkpoint/location.ts";
import type { MediaAccess } from "../prompt/media-access.ts";

export interface Platform extends MediaAccess {
  /** Backends that could be here, best first. */
  readonly backends: readonly Backend[];
  /** Opens a checkpoint or an adapter: a directory path, a URL, or a set of files. */
  readonly openFiles: OpenFiles;
}
