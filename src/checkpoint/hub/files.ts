/**
 * A model of the Hub as files: those of the cache's snapshot, and what it lacks from the Hub. Small files are downloaded when
 * they are read, weights when they are brought; before that, and where there is no cache, parts of them are read over HTTP.
 */
import { GlimtError, throwIfAborted } from "../../errors.ts";
import { type CheckpointFiles, type FileRange, truncated } from "../files.ts";
import { HttpFiles } from "../http.ts";
import type { HttpOptions } from "../http-requests.ts";
import { askRevision, fileFacts, type HubRevision, NoSuchRevision, refusal, withToken } from "./api.ts";
import type { HubFile, ModelCache } from "./cache.ts";
import { download } from "./download.ts";
import { type HubLocation, isCommit, isPlainPath, shownHubLocation } from "./location.ts";
import type { HubAccess } from "./options.ts";
import { DownloadMeter, type DownloadProgress } from "./progress.ts";

export interface HubFilesOptions extends HttpOptions {
  readonly onDownload?: ((progress: DownloadProgress) => void) | undefined;
}

/** To who has the model in the cache: whether there is a newer one is not worth more. */
const PATIENCE_WITH_A_CACHE = { retries: 1, checkpointTimeout: 10_000, longestWait: 5_000 };

/**
 * @param cache null where nothing can be kept
 * @throws CHECKPOINT_NOT_FOUND when neither the Hub nor the cache knows the model; ABORTED
 */
export async function openHubFiles(
  location: HubLocation,
  access: HubAccess,
  cache: ModelCache | null,
  options: HubFilesOptions,
  signal?: AbortSignal,
): Promise<HubFiles> {
  const { revision } = location;
  const offline = (commit: string | null, why: string) => {
    if (commit !== null) return new HubFiles(location, commit, null, why, access, cache, options);
    throw new GlimtError("CHECKPOINT_NOT_FOUND", `${shownHubLocation(location)}: ${why}.`);
  };
  const isHere = cache ? `${cache.location} does not have it` : "there is no cache here";
  const known = isCommit(revision) ? revision : ((await cache?.commitOf(revision)) ?? null);
  if (access.offline) return offline(known, `${isHere}, and nothing is asked of the Hub offline`);
  if (isCommit(revision)) return new HubFiles(location, revision, null, null, access, cache, options);
  const { checkpointTimeout = Number.POSITIVE_INFINITY } = options;
  const patience = {
    ...PATIENCE_WITH_A_CACHE,
    checkpointTimeout: Math.min(checkpointTimeout, PATIENCE_WITH_A_CACHE.checkpointTimeout),
  };
  try {
    const asked = await askRevision(location, access, known ? { ...options, ...patience } : options, signal);
    await cache?.keepCommit(revision, asked.commit);
    return new HubFiles(location, asked.commit, asked, null, access, cache, options);
  } catch (error) {
    throwIfAborted(signal);
    const mayBeCached = error instanceof GlimtError && error.code !== "OPTION_INVALID";
    if (known === null || !mayBeCached || error instanceof NoSuchRevision) throw error;
    return offline(known, `${isHere}, and ${error.message.replace(/\.$/, "")}`);
  }
}

export class HubFiles implements CheckpointFiles {
  readonly location: string;
  readonly named: string | undefined;
  readonly commit: string;
  readonly #from: HubLocation;
  readonly #access: HubAccess;
  readonly #cache: ModelCache | null;
  readonly #snapshot: CheckpointFiles | null;
  readonly #options: HubFilesOptions;
  readonly #http: HttpFiles;
  /** Why the Hub is not asked; null: it is. */
  readonly #offline: string | null;
  readonly #facts = new Map<string, HubFile>();
  /** Those that were seen in the snapshot. */
  readonly #brought = new Set<string>();
  #listing: HubRevision | null;
  #isKept: boolean;

  constructor(
    from: HubLocation,
    commit: string,
    listing: HubRevision | null,
    offline: string | null,
    access: HubAccess,
    cache: ModelCache | null,
    options: HubFilesOptions,
  ) {
    this.location = shownHubLocation(from);
    this.named = from.file ?? undefined;
    this.commit = commit;
    this.#from = from;
    this.#access = access;
    this.#cache = cache;
    this.#isKept = cache !== null;
    this.#snapshot = cache?.snapshot(commit) ?? null;
    this.#options = options;
    this.#listing = listing;
    this.#offline = offline;
    this.#http = new HttpFiles(`${access.endpoint}/${from.repository}/resolve/${commit}`, {
      ...withToken(access, options),
      refusal: ({ response, said }) => refusal(from, access, response, said),
    });
  }

  /** Paths of all files at this commit; null when the Hub is not asked. */
  async names(signal?: AbortSignal): Promise<string[] | null> {
    return this.#offline === null ? [...(await this.#list(signal)).files.keys()] : null;
  }

  async list(): Promise<readonly string[]> {
    return (await this.names()) ?? (await this.#snapshot?.list?.()) ?? [];
  }

  absence(name: string): string | null {
    if (this.#offline !== null) return `${capitalised(this.#offline)}.`;
    return this.#snapshot?.absence?.(name) ?? null;
  }

  async size(name: string, signal?: AbortSignal): Promise<number | null> {
    if (!isPlainPath(name)) return null;
    const here = (await this.#snapshot?.size(name, signal)) ?? null;
    return here ?? (await this.#remote(name, signal))?.size ?? null;
  }

  async readAll(name: string, signal?: AbortSignal): Promise<Uint8Array | null> {
    if (!isPlainPath(name)) return null;
    const here = await this.#snapshot?.readAll(name, signal);
    if (here) return here;
    const file = await this.#remote(name, signal);
    if (!file) return null;
    if (this.#cache && (await this.#download([file], signal))) {
      return (await this.#snapshot?.readAll(name, signal)) ?? null;
    }
    const bytes = await this.#http.readAll(name, signal);
    if (bytes?.length !== file.size) throw truncated(this.location, name, 0, file.size);
    return bytes;
  }

  expectReads(reads: readonly FileRange[], signal?: AbortSignal): void {
    // What was brought is read from the cache.
    this.#http.expectReads(
      reads.filter(({ file }) => !this.#brought.has(file)),
      signal,
    );
  }

  async readInto(name: string, offset: number, into: Uint8Array, signal?: AbortSignal): Promise<void> {
    const isHere = this.#brought.has(name) || (await this.#isHere(name, signal));
    if (isHere && this.#snapshot) return this.#snapshot.readInto(name, offset, into, signal);
    const file = await this.#remote(name, signal);
    if (!file) throw new GlimtError("CHECKPOINT_NOT_FOUND", `${this.location} has no ${name}.`);
    if (offset + into.length > file.size) throw truncated(this.location, name, offset, into.length);
    await this.#http.readInto(name, offset, into, signal);
  }

  async bring(names: readonly string[], signal?: AbortSignal): Promise<void> {
    const missing: HubFile[] = [];
    for (const name of names) {
      if (await this.#isHere(name, signal)) continue;
      const file = await this.#remote(name, signal);
      if (!file) {
        const why = this.absence(name);
        throw new GlimtError(
          "CHECKPOINT_NOT_FOUND",
          `${this.location} has no ${name}.${why ? ` ${why}` : ""}`,
        );
      }
      missing.push(file);
    }
    if (missing.length > 0) await this.#download(missing, signal);
  }

  async #isHere(name: string, signal?: AbortSignal): Promise<boolean> {
    const size = isPlainPath(name) ? await this.#snapshot?.size(name, signal) : null;
    if (size === null || size === undefined) return false;
    this.#brought.add(name);
    return true;
  }

  /** What the Hub has of this name; null when it has no such file, or is not asked. */
  async #remote(name: string, signal?: AbortSignal): Promise<HubFile | null> {
    if (this.#offline !== null || !isPlainPath(name) || (await this.#cache?.isAbsent(this.commit, name)))
      return null;
    const known = this.#facts.get(name);
    if (known) return known;
    const { files } = await this.#list(signal);
    if (!files.has(name)) {
      await this.#cache?.keepAbsence(this.commit, name);
      return null;
    }
    const file = files.get(name) ?? fileFacts(this.#access, name, await this.#http.head(name, signal));
    this.#facts.set(name, file);
    return file;
  }

  async #list(signal?: AbortSignal): Promise<HubRevision> {
    const at = { ...this.#from, revision: this.commit };
    this.#listing ??= await askRevision(at, this.#access, this.#options, signal);
    return this.#listing;
  }

  /** Into the cache. @returns false where there is no room: what is read comes over HTTP then */
  async #download(files: readonly HubFile[], signal?: AbortSignal): Promise<boolean> {
    const total = files.reduce((sum, { size }) => sum + size, 0);
    const cache = this.#cache;
    this.#isKept = cache !== null && this.#isKept && (await cache.hasRoom(files));
    if (!cache || !this.#isKept) return false;
    const { onDownload } = this.#options;
    const control = new AbortController();
    const until = signal ? AbortSignal.any([signal, control.signal]) : control.signal;
    let thrown: { readonly error: unknown } | null = null;
    const meter = new DownloadMeter(total, (progress) => {
      try {
        onDownload?.(progress);
      } catch (error) {
        thrown ??= { error };
        control.abort();
      }
    });
    try {
      for (const file of files) {
        meter.file = file.name;
        const onBytes = (bytes: number, isOld?: boolean) => meter.add(bytes, isOld);
        await download(this.#http, cache, this.commit, file, { signal: until, onBytes });
        this.#brought.add(file.name);
      }
    } catch (error) {
      const isMissed = cache.isOptional && error instanceof GlimtError && error.code === "CACHE_FAILED";
      if (isMissed) {
        this.#isKept = false;
        return false;
      }
      // What the caller's own function throws comes out as it is.
      throw (thrown as { readonly error: unknown } | null)?.error ?? error;
    }
    return true;
  }
}

function capitalised(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
