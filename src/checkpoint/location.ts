/** Where a checkpoint or an adapter lies, and what opens it. */
import type { CheckpointFiles } from "./files.ts";
import type { HttpOptions } from "./http.ts";

/** A directory path, a URL, or files by name (as a browser's file picker gives them). */
export type ModelLocation = string | URL | ReadonlyMap<string, Blob> | readonly File[];

/** @throws CHECKPOINT_NOT_FOUND */
export type OpenFiles = (
  location: ModelLocation,
  options?: Pick<HttpOptions, "headers">,
) => Promise<CheckpointFiles>;
