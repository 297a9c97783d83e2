/** What differs between Node, browsers and GPU servers; an entry file supplies it. */
import type { Backend } from "../backends/backend.ts";
import type { OpenFiles } from "../checkpoint/location.ts";
import type { GrammarTasks } from "../grammar/tasks.ts";
import type { MediaAccess } from "../prompt/media-access.ts";
import type { SessionFiles } from "../serving/session/storage.ts";
import type { Workers } from "../workers/workers.ts";

export interface Platform extends MediaAccess {
  /** Backends that could be here, best first. */
  readonly backends: readonly Backend[];
  /** Opens a checkpoint or an adapter: a directory path, a URL, or a set of files. */
  readonly openFiles: OpenFiles;
  /** The workers in which schemas and grammars are read, as `mediaWorkers`. */
  readonly grammarWorkers?: (workerUrl: string | URL | undefined) => Workers<GrammarTasks>;
  /** Where sessions may lie beside Blobs; absent where there are no paths. */
  readonly sessionFiles?: SessionFiles;
}
