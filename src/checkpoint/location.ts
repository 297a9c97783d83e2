/** Where a checkpoint or an adapter lies, and what opens it. */
import { GlimtError } from "../errors.ts";
import { readOnce } from "../given.ts";
import { withoutCredentials } from "./address.ts";
import type { CheckpointFiles } from "./files.ts";
import type { HttpOptions } from "./http-requests.ts";
import { filesAddress, repositoryId } from "./hub.ts";

/** A directory or a GGUF file: a path, a URL, or files by name (as a browser's file picker gives them). */
export type ModelLocation = string | URL | ReadonlyMap<string, Blob> | readonly File[];

export interface OpenFilesOptions extends Pick<HttpOptions, "headers" | "checkpointTimeout"> {
  /** The file of a GGUF model's vision tower, where the location is a file, or one is meant among several. */
  readonly mmproj?: ModelLocation | undefined;
}

export const OPEN_FILES_OPTION_NAMES: readonly (keyof OpenFilesOptions)[] = [
  "headers",
  "checkpointTimeout",
  "mmproj",
];

/** @throws CHECKPOINT_NOT_FOUND, CHECKPOINT_INVALID, OPTION_INVALID */
export type OpenFiles = (location: ModelLocation, options?: OpenFilesOptions) => Promise<CheckpointFiles>;

/** Text or a URL, not files by name. @throws OPTION_INVALID */
export function isAddress(location: ModelLocation): location is string | URL {
  const isUrl = () => location instanceof URL;
  if (typeof location === "string" && location.trim() === "") {
    // Mostly a variable that was not set.
    throw new GlimtError("OPTION_INVALID", "The location is empty: give a directory, or the address of one.");
  }
  return typeof location === "string" || readOnce("The location", isUrl, "OPTION_INVALID");
}

/**
 * A location that is text and names another scheme than http, https and file.
 *
 * @throws CHECKPOINT_NOT_FOUND naming the address that is meant, where that can be known
 */
export function rejectOtherSchemes(location: string): void {
  const scheme = /^([a-z][a-z\d+.-]+):\/\//i.exec(location)?.[1]?.toLowerCase();
  if (scheme === undefined || ["http", "https", "file"].includes(scheme)) return;
  const repository = scheme === "hf" ? repositoryId(location) : null;
  throw new GlimtError(
    "CHECKPOINT_NOT_FOUND",
    `${withoutCredentials(location)}: ${scheme} addresses are not read. ` +
      (repository
        ? `Give the address of the model's files: ${filesAddress(repository)}`
        : "Give the http or https address of the directory that holds config.json."),
  );
}
