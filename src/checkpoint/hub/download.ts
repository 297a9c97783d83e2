/** One file of the Hub into the cache: parts in flight, resumed, and checked before it gets its name. */
import { GlimtError, throwIfAborted } from "../../errors.ts";
import type { HttpFiles } from "../http.ts";
import { type HubFile, type ModelCache, PART_BYTES, type PartialFile, partsOf } from "./cache.ts";

/** Requests for parts of a file that are under way. */
const AT_ONCE = 8;
/** Git's hash is made of a file in one go; the Hub has no larger ones outside of LFS. */
const MOST_GIT_BYTES = 64 << 20;
/** Bytes that are read back to be hashed. */
const HASHED_AT_ONCE = 1 << 20;

export interface DownloadOptions {
  readonly signal: AbortSignal;
  /** Bytes that came now, or were there before (`isOld`); fewer than none when they must be asked for again. Throws nothing. */
  readonly onBytes: (bytes: number, isOld?: boolean) => void;
}

/**
 * Ends with the file in the snapshot, or fails; parts that came stay in the cache then, and are not asked for again.
 *
 * @throws CHECKPOINT_INVALID when its hash is another; CACHE_FAILED, and what reading over HTTP throws
 */
export async function download(
  http: HttpFiles,
  cache: ModelCache,
  commit: string,
  file: HubFile,
  options: DownloadOptions,
): Promise<void> {
  for (let tries = 1; ; tries++) {
    const partial = await cache.begin(commit, file, options.signal);
    if (partial === null) return options.onBytes(file.size, true);
    let came = 0;
    const count: DownloadOptions["onBytes"] = (bytes, isOld) => {
      came += bytes;
      options.onBytes(bytes, isOld);
    };
    try {
      const wasBegun = hasBegun(partial, file);
      const digest = await bring(http, cache, partial, file, { ...options, onBytes: count });
      if (digest === null || digest === file.etag) return await partial.finish();
      await partial.discard();
      options.onBytes(-came, true);
      // What was kept from before may be what is wrong: a computer that lost power while it was written.
      if (wasBegun && tries === 1) continue;
      throw new GlimtError(
        "CHECKPOINT_INVALID",
        `${file.name} of ${http.location} is not what the Hub says it is: its ${file.hash} is ${digest}, not ${file.etag}.`,
      );
    } finally {
      await partial.close();
    }
  }
}

function hasBegun(partial: PartialFile, { size }: HubFile): boolean {
  return Array.from({ length: partsOf(size) }, (_, part) => partial.has(part)).includes(true);
}

/** @returns the hash of what is there now; null when the Hub gave none to compare it with */
async function bring(
  http: HttpFiles,
  cache: ModelCache,
  partial: PartialFile,
  file: HubFile,
  { signal, onBytes }: DownloadOptions,
): Promise<string | null> {
  const parts = Array.from({ length: partsOf(file.size) }, (_, part) => new Part(part, file.size));
  // The first failure ends all.
  const control = new AbortController();
  const until = AbortSignal.any([signal, control.signal]);
  const missing = parts.filter((part) => {
    if (!partial.has(part.index)) return true;
    onBytes(part.bytes, true);
    part.arrive();
    return false;
  });
  const queue = missing.values();
  const fetchParts = async () => {
    for (const part of queue) {
      // With nothing under way there is no request that would end by it.
      throwIfAborted(signal);
      if (until.aborted) return;
      await fetchPart(http, partial, file, part, until, onBytes);
      await partial.keep(part.index);
      part.arrive();
    }
  };
  const hashing = hashInOrder(cache, partial, file, parts);
  const work = [hashing, ...Array.from({ length: Math.min(AT_ONCE, missing.length) }, fetchParts)];
  try {
    await Promise.all(work);
    return await hashing;
  } catch (error) {
    control.abort();
    for (const part of parts) part.fail(error);
    await Promise.allSettled(work);
    throw error;
  }
}

async function fetchPart(
  http: HttpFiles,
  partial: PartialFile,
  file: HubFile,
  part: Part,
  signal: AbortSignal,
  onBytes: (bytes: number) => void,
): Promise<void> {
  if (file.size > PART_BYTES) {
    const range = { file: file.name, offset: part.start, bytes: part.bytes };
    const take = async (piece: Uint8Array, at: number) => {
      await partial.write(part.index, part.start + at, piece);
      onBytes(piece.length);
    };
    await http.readPart(range, take, signal);
    return;
  }
  // Small ones come whole: servers compress them, and then know no ranges.
  const bytes = await http.readAll(file.name, signal);
  if (bytes?.length !== file.size) {
    const found = bytes ? `it has ${bytes.length} bytes, not ${file.size}` : "it is not there";
    const why = bytes ? null : http.absence(file.name);
    const absence = why ? ` ${why}` : "";
    throw new GlimtError(
      "CHECKPOINT_INVALID",
      `${file.name} of ${http.location} is not what the Hub says it is: ${found}.${absence}`,
    );
  }
  await partial.write(part.index, 0, bytes);
  onBytes(bytes.length);
}

/** Follows the parts as they arrive, so that little is left to do behind the last one. */
async function hashInOrder(
  cache: ModelCache,
  partial: PartialFile,
  file: HubFile,
  parts: readonly Part[],
): Promise<string | null> {
  const isHashed = file.hash === "sha256" || (file.hash === "git-sha1" && file.size <= MOST_GIT_BYTES);
  if (!isHashed) return null;
  const whole: Uint8Array[] = [];
  const sha256 = file.hash === "sha256" ? cache.createSha256() : null;
  for (const part of parts) {
    await part.arrived;
    for (let at = 0; at < part.bytes; at += HASHED_AT_ONCE) {
      const bytes = Math.min(HASHED_AT_ONCE, part.bytes - at);
      const piece = await partial.read(part.index, part.start + at, bytes);
      if (sha256) sha256.update(piece);
      else whole.push(piece);
    }
  }
  return sha256 ? sha256.digest() : gitHash(whole, file.size);
}

/** Git's name of a file's content. */
async function gitHash(pieces: readonly Uint8Array[], size: number): Promise<string> {
  const head = new TextEncoder().encode(`blob ${size}\0`);
  const bytes = await new Blob([head, ...pieces] as BlobPart[]).arrayBuffer();
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-1", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

class Part {
  readonly index: number;
  readonly start: number;
  readonly bytes: number;
  readonly arrived: Promise<void>;
  arrive!: () => void;
  fail!: (error: unknown) => void;

  constructor(index: number, size: number) {
    this.index = index;
    this.start = index * PART_BYTES;
    this.bytes = Math.min(PART_BYTES, size - this.start);
    this.arrived = new Promise((resolve, reject) => {
      this.arrive = resolve;
      this.fail = reject;
    });
    // Thrown to who waits for it, if anybody does.
    this.arrived.catch(() => undefined);
  }
}
