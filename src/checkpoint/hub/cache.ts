/** Where files of the Hub are kept: what Node's directories and a browser's storage have in common. */
import type { CheckpointFiles } from "../files.ts";

/** A file of a repository at a commit. */
export interface HubFile {
  readonly name: string;
  readonly size: number;
  /** Its content's name: the sha256 of a large file (LFS), of others the hash that Git gives them. */
  readonly etag: string;
  readonly hash: "sha256" | "git-sha1" | null;
}

/** Of this many bytes are the parts in which files are downloaded; what is kept of an unfinished one are whole parts. */
export const PART_BYTES = 8 << 20;

export function partsOf(size: number): number {
  return Math.max(1, Math.ceil(size / PART_BYTES));
}

/** A file on its way into the cache. All it throws are GlimtErrors. */
export interface PartialFile {
  /** Whether a part is there from before. */
  has(part: number): boolean;
  /** Bytes of a part, `at` from the start of the file; those of one part come in order. */
  write(part: number, at: number, bytes: Uint8Array): Promise<void>;
  /** All of a part was written. */
  keep(part: number): Promise<void>;
  /** A part that was kept; of it at most `bytes` from `at` on. */
  read(part: number, at: number, bytes: number): Promise<Uint8Array>;
  /** It is whole and right: from now on it is in the snapshot. */
  finish(): Promise<void>;
  /** It is wrong: nothing of it stays. */
  discard(): Promise<void>;
  /** Ends work on it: what is kept stays, for the next time. */
  close(): Promise<void>;
}

export interface Hasher {
  update(bytes: Uint8Array): void;
  /** In hexadecimal digits. */
  digest(): string;
}

/** The cache of one repository. */
export interface ModelCache {
  /** Shown in messages. */
  readonly location: string;
  /** Where it fails, files are read over HTTP as if there was none. */
  readonly isOptional: boolean;
  /** The commit that a branch or tag had when it was last asked for. */
  commitOf(revision: string): Promise<string | null>;
  keepCommit(revision: string, commit: string): Promise<void>;
  /** The files of a commit that are here, and come to be. */
  snapshot(commit: string): CheckpointFiles;
  /** Whether the commit is known to have no file of this name. */
  isAbsent(commit: string, name: string): Promise<boolean>;
  keepAbsence(commit: string, name: string): Promise<void>;
  /** False when there is no room for what is not here of these files, and it is better not to keep them. @throws CACHE_FAILED */
  hasRoom(files: readonly HubFile[]): Promise<boolean>;
  /** Waits while somebody else downloads it; null when it is here then. */
  begin(commit: string, file: HubFile, signal?: AbortSignal): Promise<PartialFile | null>;
  createSha256(): Hasher;
}

/** A model in the cache. */
export interface CachedModel {
  /** "ORG/NAME". */
  readonly repository: string;
  /** Of all files, each counted once. */
  readonly bytes: number;
  /** Of downloads that were not finished. */
  readonly unfinishedBytes: number;
  /** Milliseconds since 1970; null where that is not known. */
  readonly lastUsed: number | null;
  /** Of which something is here. */
  readonly revisions: readonly CachedRevision[];
}

/** A revision of a model, as far as it is in the cache. */
export interface CachedRevision {
  /** The commit that it is. */
  readonly commit: string;
  /** Branches and tags that are at this commit. */
  readonly refs: readonly string[];
  /** How many files of it are here. */
  readonly files: number;
  /** Of these files. */
  readonly bytes: number;
}

export interface HubCache {
  /** Shown in messages. */
  readonly location: string;
  model(repository: string): ModelCache;
  list(): Promise<CachedModel[]>;
  /** Removes a model, or what of it only this revision (a commit, branch or tag) needs. @returns bytes that became free; null: not there */
  remove(repository: string, revision: string | null): Promise<number | null>;
}
