/** Where a checkpoint or an adapter lies, and what opens it. */
import { GlimtError } from "../errors.ts";
import { type Kind, readOnce } from "../given.ts";
import { withoutCredentials } from "./address.ts";
import type { CheckpointFiles } from "./files.ts";
import type { HttpOptions } from "./http-requests.ts";
import type { HubFilesOptions } from "./hub/files.ts";
import type { HubOptions } from "./hub/options.ts";

/**
 * The id of a model on the Hub ("ORG/NAME", "ORG/NAME@REVISION", "ORG/NAME/FILE.gguf") or its page's address; a directory or
 * a GGUF file, by its path or address; or files by name (as a browser's file picker gives them).
 */
export type ModelLocation = string | URL | ReadonlyMap<string, Blob> | readonly File[];

/** How the files of a checkpoint are reached. */
export interface OpenFilesOptions extends Pick<HttpOptions, "headers" | "checkpointTimeout" | "fetch"> {
  /** How the Hub is reached, and where its files are kept. */
  readonly hub?: HubOptions | undefined;
  /** Told of bytes that are downloaded into the cache. */
  readonly onDownload?: HubFilesOptions["onDownload"];
  /** The file of a GGUF model's vision tower, where the location is a file, or one is meant among several. */
  readonly mmproj?: ModelLocation | undefined;
  /** Ends asking the Hub. */
  readonly signal?: AbortSignal | undefined;
}

export const OPEN_FILES_OPTION_NAMES: readonly (keyof OpenFilesOptions)[] = [
  "headers",
  "checkpointTimeout",
  "mmproj",
  "fetch",
  "hub",
  "onDownload",
  "signal",
];
export const OPEN_FILES_KINDS: Readonly<Record<string, Kind>> = {
  fetch: "function",
  hub: "object",
  onDownload: "function",
};

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
 * @throws CHECKPOINT_NOT_FOUND
 */
export function rejectOtherSchemes(location: string): void {
  const scheme = /^([a-z][a-z\d+.-]+):\/\//i.exec(location)?.[1]?.toLowerCase();
  if (scheme === undefined || ["http", "https", "file"].includes(scheme)) return;
  const advice =
    scheme === "hf"
      ? "this is no model of the Hub: hf://ORG/NAME, hf://ORG/NAME@REVISION"
      : `${scheme} addresses are not read. Give the http or https address of the directory that holds config.json`;
  throw new GlimtError("CHECKPOINT_NOT_FOUND", `${withoutCredentials(location)}: ${advice}.`);
}
