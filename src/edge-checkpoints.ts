/** Where checkpoints come from in browsers, workers and edge runtimes: addresses, picked files, the Hub. */

import {
  type CacheOptions,
  listModelsWith,
  type PulledModel,
  type PullOptions,
  pullModelWith,
  removeModelWith,
} from "./api/hub-models.ts";
import { blobFiles } from "./checkpoint/blobs.ts";
import type { CheckpointFiles } from "./checkpoint/files.ts";
import { openModelFiles } from "./checkpoint/gguf/location.ts";
import { httpFiles } from "./checkpoint/http.ts";
import type { CachedModel } from "./checkpoint/hub/cache.ts";
import { openHub } from "./checkpoint/hub/host-web.ts";
import { modelOfPage, parseHubId } from "./checkpoint/hub/location.ts";
import { openHubModel } from "./checkpoint/hub/open.ts";
import {
  isAddress,
  type ModelLocation,
  OPEN_FILES_KINDS,
  OPEN_FILES_OPTION_NAMES,
  type OpenFilesOptions,
  rejectOtherSchemes,
} from "./checkpoint/location.ts";
import { GlimtError } from "./errors.ts";
import { readOptions } from "./given.ts";
import { baseAddress } from "./http/base-address.ts";

/**
 * The files of a checkpoint, by address or by name.
 *
 * @throws OPTION_INVALID, CHECKPOINT_NOT_FOUND
 */
export async function openFiles(location: ModelLocation, given?: OpenFilesOptions): Promise<CheckpointFiles> {
  const options = readOptions(given, "openFiles", OPEN_FILES_OPTION_NAMES, OPEN_FILES_KINDS);
  return openModelFiles(location, options, openFolder, openModel);
}

/** Null for what is no model of the Hub. */
async function openModel(
  location: ModelLocation,
  options: OpenFilesOptions,
): Promise<CheckpointFiles | null> {
  const text = String(location);
  const isWeb = /^https?:/i.test(text) && URL.canParse(text);
  const model = isWeb ? modelOfPage(new URL(text), options.hub?.endpoint) : parseHubId(text);
  return model && openHubModel(openHub, model, options);
}

async function openFolder(location: ModelLocation, options: OpenFilesOptions): Promise<CheckpointFiles> {
  if (!isAddress(location)) return blobFiles(location);
  const text = String(location);
  rejectOtherSchemes(text);
  if (/^[a-z][a-z\d+.-]+:/i.test(text)) return httpFiles(text, options);
  return httpFiles(absoluteAddress(text), options);
}

function absoluteAddress(address: string): URL {
  const base = baseAddress();
  // A worker that was made of a Blob has none to go by.
  if (base !== undefined && /^https?:/.test(base)) return new URL(address, base);
  throw new GlimtError(
    "OPTION_INVALID",
    `"${address}" is a relative address, and there is no page that it could be relative to: give the whole address, https://...`,
  );
}

export function pullModel(location: string | URL, options: PullOptions = {}): Promise<PulledModel> {
  return pullModelWith(openHub, location, options);
}

export function listModels(options: CacheOptions = {}): Promise<readonly CachedModel[]> {
  return listModelsWith(openHub, options);
}

export function removeModel(model: string | URL, options: CacheOptions = {}): Promise<number> {
  return removeModelWith(openHub, model, options);
}
