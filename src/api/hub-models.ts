/** Models of the Hub in the cache: brought there, listed, removed. */
import { ggufInFolder, partsOf } from "../checkpoint/gguf/find.ts";
import type { CachedModel } from "../checkpoint/hub/cache.ts";
import type { HubFiles } from "../checkpoint/hub/files.ts";
import type { OpenHub } from "../checkpoint/hub/host.ts";
import { type HubLocation, isCommit, requireHubId } from "../checkpoint/hub/location.ts";
import { openHubModel } from "../checkpoint/hub/open.ts";
import type { HubOptions } from "../checkpoint/hub/options.ts";
import { OPEN_FILES_KINDS, OPEN_FILES_OPTION_NAMES, type OpenFilesOptions } from "../checkpoint/location.ts";
import { weightFileNames } from "../checkpoint/shards.ts";
import { GlimtError } from "../errors.ts";
import { checkTimeLimit, readOptions } from "../given.ts";

/** How a model is brought into the cache: as files of a model are opened. */
export type PullOptions = Omit<OpenFilesOptions, "mmproj">;

/** What is in the cache now. */
export interface PulledModel {
  /** "ORG/NAME". */
  readonly repository: string;
  /** The branch, tag or commit that was asked for. */
  readonly revision: string;
  /** What it was then. */
  readonly commit: string;
  /** What is in the cache now of what loading needs. */
  readonly files: readonly string[];
  /** Of these files. */
  readonly bytes: number;
}

/** Which cache is meant. */
export interface CacheOptions {
  /** Of them `cacheDir` says where the cache is. */
  readonly hub?: HubOptions | undefined;
}

const OPTION_NAMES = OPEN_FILES_OPTION_NAMES.filter((name) => name !== "mmproj");
const ADAPTER = "adapter_model.safetensors";
/** Whatever else a tokenizer, template or processor may be described by, for other readers of the cache too. */
const DESCRIPTION = /^[^/]+\.(json|jinja)$/;
/** Of weights in other formats. */
const OTHER_INDEX = /\.index\.json$/;
const INDEX = "model.safetensors.index.json";

/** @throws OPTION_INVALID, CHECKPOINT_NOT_FOUND, CHECKPOINT_INVALID, CACHE_FAILED, TIMED_OUT, ABORTED */
export async function pullModelWith(
  openHub: OpenHub,
  location: string | URL,
  given: PullOptions | undefined,
): Promise<PulledModel> {
  const options = readOptions(given, "pullModel", OPTION_NAMES, OPEN_FILES_KINDS);
  checkTimeLimit("checkpointTimeout", options.checkpointTimeout);
  const from = requireHubId(String(location), options.hub?.endpoint);
  const { cache } = await openHub(options.hub);
  if (cache === null) {
    throw new GlimtError(
      "CACHE_FAILED",
      "Files of the Hub can not be kept here: the browser gives no storage.",
    );
  }
  const files = await openHubModel(openHub, from, options);
  const names = from.file === null ? await checkpointNames(files, options.signal) : partsOf(from.file);
  await files.bring(names, options.signal);
  const sizes = await Promise.all(names.map((name) => files.size(name, options.signal)));
  const bytes = sizes.reduce<number>((sum, size) => sum + (size ?? 0), 0);
  return { repository: from.repository, revision: from.revision, commit: files.commit, files: names, bytes };
}

/** Descriptions and the weights that glimt reads, or those of a GGUF model: neither pickles nor other formats, nor what lies in folders. */
async function checkpointNames(files: HubFiles, signal: AbortSignal | undefined): Promise<string[]> {
  const listed = await files.names(signal);
  const described = listed
    ? listed.filter((name) => DESCRIPTION.test(name) && (name === INDEX || !OTHER_INDEX.test(name)))
    : ["config.json"];
  const isAdapter = (await files.size(ADAPTER, signal)) !== null;
  const isPublished = isAdapter || (await files.size("config.json", signal)) !== null;
  const gguf = isPublished ? null : await ggufInFolder(files);
  if (gguf) return [gguf.text, ...(gguf.tower ? [gguf.tower] : [])].flatMap(({ name }) => partsOf(name));
  return [...described, ...(isAdapter ? [ADAPTER] : await weightFileNames(files, signal))];
}

export async function listModelsWith(
  openHub: OpenHub,
  given: CacheOptions | undefined,
): Promise<readonly CachedModel[]> {
  const { hub } = readOptions(given, "listModels", ["hub"], { hub: "object" });
  return (await (await openHub(hub)).cache?.list()) ?? [];
}

/** @throws OPTION_INVALID for what is no model's id; CHECKPOINT_NOT_FOUND when the cache does not have it */
export async function removeModelWith(
  openHub: OpenHub,
  model: string | URL,
  given: CacheOptions | undefined,
): Promise<number> {
  const { hub } = readOptions(given, "removeModel", ["hub"], { hub: "object" });
  const { repository, revision, file } = requireHubId(String(model), hub?.endpoint);
  if (file !== null) {
    throw new GlimtError(
      "OPTION_INVALID",
      `${file} is one file of ${repository}: models and revisions are removed as a whole, by ${repository} or ${repository}@REVISION.`,
    );
  }
  const { cache } = await openHub(hub);
  const bytes = await cache?.remove(repository, isWhole(model, revision) ? null : revision);
  if (typeof bytes === "number") return bytes;
  const place = cache?.location ?? "The browser, which gives no storage,";
  throw new GlimtError("CHECKPOINT_NOT_FOUND", `${place} does not have ${String(model)}.`);
}

/** Whether no revision was named. */
function isWhole(model: string | URL, revision: HubLocation["revision"]): boolean {
  return !isCommit(revision) && !String(model).includes("@") && !String(model).includes("/tree/");
}
