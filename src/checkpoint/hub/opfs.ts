/**
 * The cache in a browser: the origin's private file system (OPFS).
 *
 *     glimt-hub/models--ORG--NAME/blobs/HASH/0, 1, ...      contents, in parts; "whole" beside them when all are there
 *     glimt-hub/models--ORG--NAME/snapshots/COMMIT/FILE     { etag, size }
 *     glimt-hub/models--ORG--NAME/refs/REVISION             the commit of a branch or tag
 *     glimt-hub/models--ORG--NAME/absent/COMMIT/FILE        the commit has no such file
 *     glimt-hub/models--ORG--NAME/used                      when it was last opened
 *
 * Names are percent-encoded. A file is there whole or not at all: the browser renames what was written when it is closed.
 */
import { GlimtError, throwIfAborted } from "../../errors.ts";
import { fileError } from "../file-errors.ts";
import { type CheckpointFiles, truncated } from "../files.ts";
import { checkSmall } from "../small-files.ts";
import {
  type CachedModel,
  type CachedRevision,
  type HubCache,
  type HubFile,
  type ModelCache,
  PART_BYTES,
  type PartialFile,
} from "./cache.ts";
import { isCommit } from "./location.ts";
import { createSha256 } from "./sha256.ts";

const FOLDER = "glimt-hub";
const PREFIX = "models--";
const WHOLE = "whole";
/** Of the quota that stays free: browsers count more than the bytes of files. */
const SPARE_SHARE = 0.05;

type Folder = FileSystemDirectoryHandle;

/** Null where there is no such file system, or one that can not be written from here. */
export async function opfsCache(): Promise<HubCache | null> {
  try {
    const root = await browser()?.storage?.getDirectory?.();
    const folder = await root?.getDirectoryHandle(FOLDER, { create: true });
    const probe = await folder?.getFileHandle("probe", { create: true });
    const isWritable = typeof probe?.createWritable === "function";
    return folder && isWritable ? new OpfsCache(folder) : null;
  } catch {
    // Private windows, and pages that may not store anything.
    return null;
  }
}

/** Not everywhere where this is bundled for. */
function browser(): Partial<Pick<Navigator, "storage" | "locks">> | undefined {
  return globalThis.navigator;
}

class OpfsCache implements HubCache {
  readonly location = "this browser's storage";
  readonly #root: Folder;

  constructor(root: Folder) {
    this.#root = root;
  }

  model(repository: string): ModelCache {
    return new OpfsModel(this.#root, repository, (files) => this.#makeRoom(files, repository));
  }

  async list(): Promise<CachedModel[]> {
    const models: CachedModel[] = [];
    for await (const [name, { kind }] of this.#root.entries()) {
      if (kind === "directory" && name.startsWith(PREFIX)) models.push(await this.#describe(name));
    }
    return models.sort((a, b) => (a.repository < b.repository ? -1 : 1));
  }

  async remove(repository: string, revision: string | null): Promise<number | null> {
    const name = folderOf(repository);
    const folder = await this.#root.getDirectoryHandle(name).catch(() => null);
    if (!folder) return null;
    const found = await this.#describe(name);
    const gone = found.revisions.filter(
      ({ commit, refs }) => revision === null || commit === revision || refs.includes(revision),
    );
    if (revision !== null && gone.length === 0) return null;
    if (gone.length === found.revisions.length) {
      await this.#root.removeEntry(name, { recursive: true });
      return found.bytes + found.unfinishedBytes;
    }
    for (const { commit, refs } of gone) {
      for (const path of [["snapshots", commit], ["absent", commit], ...refs.map((ref) => ["refs", ref])]) {
        await removeAt(folder, path);
      }
    }
    const needed = new Set(
      (await listSnapshots(folder)).flatMap(({ files }) => files.map(({ etag }) => etag)),
    );
    const blobs = await listBlobs(folder);
    const free = [...blobs].filter(([etag, { isWhole }]) => isWhole && !needed.has(etag));
    for (const [etag] of free) await removeAt(folder, ["blobs", etag]);
    return free.reduce((sum, [, { bytes }]) => sum + bytes, 0);
  }

  async #describe(name: string): Promise<CachedModel> {
    const folder = await this.#root.getDirectoryHandle(name);
    const blobs = await listBlobs(folder);
    const refs = await readFolder(folder, ["refs"]);
    const revisions = (await listSnapshots(folder)).map(({ commit, files }): CachedRevision => {
      const etags = new Map(files.map(({ etag, size }) => [etag, size]));
      const bytes = [...etags.values()].reduce((sum, size) => sum + size, 0);
      const at = [...refs].filter(([, text]) => text === commit).map(([ref]) => ref);
      return { commit, refs: at, files: files.length, bytes };
    });
    const sum = (isWhole: boolean) =>
      [...blobs.values()]
        .filter((blob) => blob.isWhole === isWhole)
        .reduce((all, { bytes }) => all + bytes, 0);
    return {
      repository: name.slice(PREFIX.length).replace("--", "/"),
      bytes: sum(true),
      unfinishedBytes: sum(false),
      lastUsed: Number(await readAt(folder, ["used"])) || null,
      revisions,
    };
  }

  /** Some files are there for another commit, of some a download that was cut off left parts. */
  async #missingBytes(files: readonly HubFile[], repository: string): Promise<number> {
    const folder = await this.#root.getDirectoryHandle(folderOf(repository)).catch(() => null);
    const blobs = folder ? await listBlobs(folder) : new Map<string, { bytes: number }>();
    const sizes = new Map(files.map(({ etag, size }) => [etag, size]));
    return [...sizes].reduce(
      (sum, [etag, size]) => sum + Math.max(0, size - (blobs.get(etag)?.bytes ?? 0)),
      0,
    );
  }

  /** Models that were not used for longest go first, where the browser gives no more room. */
  async #makeRoom(files: readonly HubFile[], keep: string): Promise<boolean> {
    const bytes = await this.#missingBytes(files, keep);
    const isFree = async () => {
      const { quota, usage = 0 } = (await browser()?.storage?.estimate?.()) ?? {};
      return quota === undefined || usage + bytes + quota * SPARE_SHARE <= quota;
    };
    if (await isFree()) return true;
    const others = (await this.list()).filter(({ repository }) => repository !== keep);
    for (const { repository } of others.sort((a, b) => (a.lastUsed ?? 0) - (b.lastUsed ?? 0))) {
      if (await isFree()) return true;
      await this.remove(repository, null);
    }
    return isFree();
  }
}

class OpfsModel implements ModelCache {
  readonly location = "this browser's storage";
  readonly isOptional = true;
  readonly hasRoom: ModelCache["hasRoom"];
  readonly createSha256 = createSha256;
  readonly #root: Folder;
  readonly #name: string;

  constructor(root: Folder, repository: string, hasRoom: ModelCache["hasRoom"]) {
    this.#root = root;
    this.#name = folderOf(repository);
    this.hasRoom = hasRoom;
  }

  async commitOf(revision: string): Promise<string | null> {
    const text = await this.#read(["refs", revision]);
    return text !== null && isCommit(text) ? text : null;
  }

  async keepCommit(revision: string, commit: string): Promise<void> {
    await this.#write(["refs", revision], commit).catch(() => undefined);
  }

  snapshot(commit: string): CheckpointFiles {
    this.#write(["used"], String(Date.now())).catch(() => undefined);
    return new OpfsFiles(this.location, async (name) => {
      const folder = await this.#folder();
      const text = await readAt(folder, ["snapshots", commit, name]);
      const { etag, size } = JSON.parse(text ?? "{}") as { etag?: string; size?: number };
      if (etag === undefined || size === undefined) return null;
      const blob = await blobFolder(folder, etag);
      const isWhole = blob && (await blob.getFileHandle(WHOLE).catch(() => null));
      return isWhole ? { size, parts: blob } : null;
    });
  }

  async isAbsent(commit: string, name: string): Promise<boolean> {
    return (await this.#read(["absent", commit, name])) !== null;
  }

  async keepAbsence(commit: string, name: string): Promise<void> {
    await this.#write(["absent", commit, name], "").catch(() => undefined);
  }

  /** Another page that downloads the same file is waited for. */
  async begin(commit: string, file: HubFile, signal?: AbortSignal): Promise<PartialFile | null> {
    throwIfAborted(signal);
    const release = await lockFor(`${FOLDER}/${this.#name}/${file.etag}`, signal);
    try {
      const folder = await this.#folder();
      const link = () =>
        writeAt(
          folder,
          ["snapshots", commit, file.name],
          JSON.stringify({ etag: file.etag, size: file.size }),
        );
      const blob = await blobFolder(folder, file.etag, true);
      const sizes = new Map<string, number>();
      for await (const [name, { kind }] of blob.entries()) {
        if (kind === "file") sizes.set(name, (await (await blob.getFileHandle(name)).getFile()).size);
      }
      if (!sizes.has(WHOLE)) return new OpfsPartial(folder, blob, file, sizes, link, release);
      await link();
      release();
      return null;
    } catch (error) {
      release();
      throw storageError(error);
    }
  }

  #folder(): Promise<Folder> {
    return this.#root.getDirectoryHandle(this.#name, { create: true });
  }

  async #read(path: readonly string[]): Promise<string | null> {
    return readAt(await this.#folder(), path);
  }

  async #write(path: readonly string[], text: string): Promise<void> {
    await writeAt(await this.#folder(), path, text);
  }
}

class OpfsPartial implements PartialFile {
  readonly #model: Folder;
  readonly #blob: Folder;
  readonly #file: HubFile;
  readonly #sizes: ReadonlyMap<string, number>;
  readonly #link: () => Promise<void>;
  readonly #release: () => void;
  /** Parts that are on their way; the browser takes them whole. */
  readonly #coming = new Map<number, Uint8Array<ArrayBuffer>>();

  constructor(
    model: Folder,
    blob: Folder,
    file: HubFile,
    sizes: ReadonlyMap<string, number>,
    link: () => Promise<void>,
    release: () => void,
  ) {
    this.#model = model;
    this.#blob = blob;
    this.#file = file;
    this.#sizes = sizes;
    this.#link = link;
    this.#release = release;
  }

  has(part: number): boolean {
    return this.#sizes.get(String(part)) === this.#bytesOf(part);
  }

  async write(part: number, at: number, bytes: Uint8Array): Promise<void> {
    const coming = this.#coming.get(part) ?? new Uint8Array(this.#bytesOf(part));
    coming.set(bytes, at - part * PART_BYTES);
    this.#coming.set(part, coming);
  }

  keep(part: number): Promise<void> {
    const bytes = this.#coming.get(part) ?? new Uint8Array();
    this.#coming.delete(part);
    return storing(() => writeFile(this.#blob, String(part), bytes));
  }

  read(part: number, at: number, bytes: number): Promise<Uint8Array> {
    return storing(async () => {
      const file = await (await this.#blob.getFileHandle(String(part))).getFile();
      const start = at - part * PART_BYTES;
      return new Uint8Array(await file.slice(start, start + bytes).arrayBuffer());
    });
  }

  finish(): Promise<void> {
    return storing(async () => {
      await writeFile(this.#blob, WHOLE, "");
      await this.#link();
    });
  }

  discard(): Promise<void> {
    return storing(() => removeAt(this.#model, ["blobs", this.#file.etag]));
  }

  async close(): Promise<void> {
    this.#release();
  }

  #bytesOf(part: number): number {
    return Math.min(PART_BYTES, this.#file.size - part * PART_BYTES);
  }
}

type FindFile = (name: string) => Promise<{ readonly size: number; readonly parts: Folder } | null>;

/** Files of a snapshot, whose contents are in parts. */
class OpfsFiles implements CheckpointFiles {
  readonly location: string;
  readonly #find: FindFile;

  constructor(location: string, find: FindFile) {
    this.location = location;
    this.#find = find;
  }

  async size(name: string): Promise<number | null> {
    return (await this.#find(name))?.size ?? null;
  }

  async readAll(name: string, signal?: AbortSignal): Promise<Uint8Array | null> {
    const found = await this.#find(name);
    if (!found) return null;
    checkSmall(this.location, name, found.size);
    const bytes = new Uint8Array(found.size);
    await this.readInto(name, 0, bytes, signal);
    return bytes;
  }

  async readInto(name: string, offset: number, into: Uint8Array, signal?: AbortSignal): Promise<void> {
    const found = await this.#find(name);
    if (!found || offset + into.length > found.size)
      throw truncated(this.location, name, offset, into.length);
    for (let done = 0; done < into.length; ) {
      throwIfAborted(signal);
      const at = offset + done;
      const part = Math.floor(at / PART_BYTES);
      const bytes = await storing(async () => {
        const file = await (await found.parts.getFileHandle(String(part))).getFile();
        const start = at - part * PART_BYTES;
        return new Uint8Array(await file.slice(start, start + into.length - done).arrayBuffer());
      });
      if (bytes.length === 0) throw truncated(this.location, name, offset, into.length);
      into.set(bytes, done);
      done += bytes.length;
    }
  }
}

function folderOf(repository: string): string {
  return PREFIX + repository.replace("/", "--");
}

/** Held until what it gives is called. Where there are no locks two pages may download the same, to the same end. */
async function lockFor(name: string, signal?: AbortSignal): Promise<() => void> {
  const locks = browser()?.locks;
  if (!locks) return () => undefined;
  return new Promise((resolve, reject) => {
    const held = () => new Promise<void>((release) => resolve(release));
    locks.request(name, signal ? { signal } : {}, held).catch((error: unknown) => {
      try {
        throwIfAborted(signal);
        reject(storageError(error));
      } catch (aborted) {
        reject(aborted);
      }
    });
  });
}

async function storing<T>(task: () => Promise<T>): Promise<T> {
  try {
    return await task();
  } catch (error) {
    throw storageError(error);
  }
}

function storageError(error: unknown): GlimtError {
  if (error instanceof GlimtError) return error;
  return new GlimtError("CACHE_FAILED", fileError("This browser's storage", error).message, { cause: error });
}

async function blobFolder(model: Folder, etag: string): Promise<Folder | null>;
async function blobFolder(model: Folder, etag: string, create: true): Promise<Folder>;
async function blobFolder(model: Folder, etag: string, create = false): Promise<Folder | null> {
  try {
    return await (await model.getDirectoryHandle("blobs", { create })).getDirectoryHandle(etag, { create });
  } catch (error) {
    if (create) throw error;
    return null;
  }
}

async function readAt(folder: Folder, path: readonly string[]): Promise<string | null> {
  try {
    const parent = await parentOf(folder, path, false);
    return await (await (await parent.getFileHandle(encoded(path.at(-1)))).getFile()).text();
  } catch {
    return null;
  }
}

async function writeAt(folder: Folder, path: readonly string[], text: string): Promise<void> {
  await writeFile(await parentOf(folder, path, true), encoded(path.at(-1)), text);
}

async function removeAt(folder: Folder, path: readonly string[]): Promise<void> {
  const parent = await parentOf(folder, path, false).catch(() => null);
  await parent?.removeEntry(encoded(path.at(-1)), { recursive: true }).catch(() => undefined);
}

async function parentOf(folder: Folder, path: readonly string[], create: boolean): Promise<Folder> {
  let parent = folder;
  for (const name of path.slice(0, -1)) parent = await parent.getDirectoryHandle(encoded(name), { create });
  return parent;
}

function encoded(name = ""): string {
  return encodeURIComponent(name);
}

async function writeFile(
  folder: Folder,
  name: string,
  content: string | Uint8Array<ArrayBuffer>,
): Promise<void> {
  const file = await folder.getFileHandle(name, { create: true });
  const writable = await file.createWritable();
  try {
    await writable.write(content);
    await writable.close();
  } catch (error) {
    await writable.abort().catch(() => undefined);
    throw error;
  }
}

/** Name -> text of the files of a folder. */
async function readFolder(folder: Folder, path: readonly string[]): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  const inner = await parentOf(folder, [...path, ""], false).catch(() => null);
  if (!inner) return found;
  for await (const [name, { kind }] of inner.entries()) {
    if (kind === "file") {
      found.set(decodeURIComponent(name), await (await (await inner.getFileHandle(name)).getFile()).text());
    }
  }
  return found;
}

async function listSnapshots(
  folder: Folder,
): Promise<{ commit: string; files: { etag: string; size: number }[] }[]> {
  const snapshots = await folder.getDirectoryHandle("snapshots").catch(() => null);
  const found: { commit: string; files: { etag: string; size: number }[] }[] = [];
  if (!snapshots) return found;
  for await (const [commit, { kind }] of snapshots.entries()) {
    if (kind !== "directory") continue;
    const files = [...(await readFolder(snapshots, [commit])).values()];
    found.push({ commit, files: files.map((text) => JSON.parse(text || "{}")) });
  }
  return found.sort((a, b) => (a.commit < b.commit ? -1 : 1));
}

async function listBlobs(folder: Folder): Promise<Map<string, { bytes: number; isWhole: boolean }>> {
  const blobs = await folder.getDirectoryHandle("blobs").catch(() => null);
  const found = new Map<string, { bytes: number; isWhole: boolean }>();
  if (!blobs) return found;
  for await (const [etag] of blobs.entries()) {
    const blob = await blobs.getDirectoryHandle(etag);
    let bytes = 0;
    let isWhole = false;
    for await (const [name] of blob.entries()) {
      bytes += (await (await blob.getFileHandle(name)).getFile()).size;
      isWhole ||= name === WHOLE;
    }
    found.set(etag, { bytes, isWhole });
  }
  return found;
}
