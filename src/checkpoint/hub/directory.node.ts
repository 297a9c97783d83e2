/**
 * The cache as Python's huggingface_hub lays it out, so that both use one:
 *
 *     models--ORG--NAME/blobs/HASH                 contents, by their hash
 *     models--ORG--NAME/snapshots/COMMIT/FILE      links to them
 *     models--ORG--NAME/refs/REVISION              the commit of a branch or tag
 *     models--ORG--NAME/.no_exist/COMMIT/FILE      empty: the commit has no such file
 *
 * Python's locks are the system's (flock), which Node can not take. What must not go wrong does not hang on a lock, there
 * and here: each process writes to a file of its own, and renames it to its hash when it is whole.
 */
import { createHash, randomBytes } from "node:crypto";
import { constants, type Stats } from "node:fs";
import {
  copyFile,
  type FileHandle,
  mkdir,
  open,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  stat,
  statfs,
  symlink,
  unlink,
  utimes,
  writeFile,
} from "node:fs/promises";
import { hostname } from "node:os";
import { basename, dirname, join, relative, resolve, sep } from "node:path";
import { GlimtError, throwIfAborted } from "../../errors.ts";
import { DirectoryFiles } from "../directory.node.ts";
import { fileError } from "../file-errors.ts";
import {
  type CachedModel,
  type CachedRevision,
  type HubCache,
  type HubFile,
  type ModelCache,
  PART_BYTES,
  type PartialFile,
  partsOf,
} from "./cache.ts";
import { isCommit, isPlainPath } from "./location.ts";
import { ENVIRONMENT, isTrue } from "./settings.node.ts";

const PREFIX = "models--";
const TAG =
  "Signature: 8a477f597d28d172789f06886806bc55\n# This file is a cache directory tag created by glimt, for the cache of Hugging Face's Hub.\n";
/** Between signs of life of who downloads, and the silence after which another takes over. */
const [BEAT_MS, DEAD_MS, LOOK_MS] = [2000, 30_000, 200];
/** Left free beside what is downloaded. */
const SPARE_BYTES = 64 << 20;

export function directoryCache(root: string): HubCache {
  return {
    location: root,
    model: (repository) => new ModelDirectory(root, repository),
    list: () => reading(root, () => listModels(root)),
    remove: (repository, revision) => removeModel(root, repository, revision),
  };
}

function folderOf(repository: string): string {
  return PREFIX + repository.replace("/", "--");
}

/** @throws CACHE_FAILED in place of what the file system says */
async function writing<T>(path: string, task: () => Promise<T>): Promise<T> {
  try {
    return await task();
  } catch (error) {
    if (error instanceof GlimtError) throw error;
    const { code } = error as NodeJS.ErrnoException;
    const why =
      code === "ENOSPC" || code === "EDQUOT"
        ? "the disk is full"
        : code === "EROFS"
          ? "it can only be read"
          : // What Node says of folders on a disk that can only be read.
            code === "ENOENT"
            ? "its folder can not be made (is the disk one that can only be read?)"
            : null;
    const message = why
      ? `${path} can not be written: ${why}`
      : fileError(path, error)
          .message.replace("be read", "be written")
          .replace("read it", "write it")
          .replace(/\.$/, "");
    throw new GlimtError(
      "CACHE_FAILED",
      `${message}. The cache of the Hub's files is there; another one is given by hub.cacheDir or HF_HUB_CACHE.`,
      { cause: error },
    );
  }
}

/** @throws CACHE_FAILED in place of what the file system says */
async function reading<T>(path: string, task: () => Promise<T>): Promise<T> {
  try {
    return await task();
  } catch (error) {
    throw fileError(path, error, "CACHE_FAILED");
  }
}

async function absentAsNull<T>(task: Promise<T>): Promise<T | null> {
  return task.catch((error: NodeJS.ErrnoException) => {
    // A link that leads round in a circle leads nowhere.
    if (["ENOENT", "ENOTDIR", "ELOOP"].includes(error.code ?? "")) return null;
    throw error;
  });
}

class ModelDirectory implements ModelCache {
  readonly isOptional = false;
  readonly location: string;
  readonly #root: string;
  readonly #folder: string;
  readonly #locks: string;

  constructor(root: string, repository: string) {
    this.location = root;
    this.#root = root;
    this.#folder = join(root, folderOf(repository));
    this.#locks = join(root, ".locks", folderOf(repository));
  }

  async commitOf(revision: string): Promise<string | null> {
    const text = await readFile(join(this.#folder, "refs", revision), "utf8").catch(() => null);
    return text !== null && isCommit(text.trim()) ? text.trim() : null;
  }

  async keepCommit(revision: string, commit: string): Promise<void> {
    if ((await this.commitOf(revision)) === commit) return;
    // A cache that can only be read still gives what it has.
    await replaceFile(join(this.#folder, "refs", revision), commit).catch(() => undefined);
  }

  snapshot(commit: string): DirectoryFiles {
    return new DirectoryFiles(join(this.#folder, "snapshots", commit));
  }

  async isAbsent(commit: string, name: string): Promise<boolean> {
    return (await stat(join(this.#folder, ".no_exist", commit, name)).catch(() => null)) !== null;
  }

  async keepAbsence(commit: string, name: string): Promise<void> {
    const path = join(this.#folder, ".no_exist", commit, name);
    await mkdir(dirname(path), { recursive: true })
      .then(() => writeFile(path, "", { flag: "a" }))
      .catch(() => undefined);
  }

  async hasRoom(files: readonly HubFile[]): Promise<boolean> {
    const blobs = join(this.#folder, "blobs");
    const { bytes, bavail, bsize } = await writing(this.#root, async () => {
      await mkdir(blobs, { recursive: true });
      return { ...(await statfs(this.#folder)), bytes: await missingBytes(blobs, files) };
    });
    if (bavail * bsize >= bytes + SPARE_BYTES) return true;
    const size = (count: number) =>
      count < 1e9 ? `${(count / 1e6).toFixed(0)} MB` : `${(count / 1e9).toFixed(1)} GB`;
    throw new GlimtError(
      "CACHE_FAILED",
      `${size(bytes)} do not fit into ${this.#root}, where ${size(bavail * bsize)} are free, of which ${size(SPARE_BYTES)} are left alone. Make room ` +
        "(`glimt list`, `glimt rm`), or give another place by hub.cacheDir or HF_HUB_CACHE.",
    );
  }

  createSha256() {
    const hash = createHash("sha256");
    return { update: (bytes: Uint8Array) => void hash.update(bytes), digest: () => hash.digest("hex") };
  }

  async begin(commit: string, file: HubFile, signal?: AbortSignal): Promise<PartialFile | null> {
    const blob = join(this.#folder, "blobs", file.etag);
    const pointer = this.#pointer(commit, file.name);
    return writing(blob, async () => {
      await mkdir(dirname(blob), { recursive: true });
      await mkdir(this.#locks, { recursive: true });
      await writeFile(join(this.#root, "CACHEDIR.TAG"), TAG, { flag: "wx" }).catch(() => undefined);
      const lock = await BlobLock.take(join(this.#locks, `${file.etag}.glimt.lock`), signal, async () => {
        const found = await absentAsNull(stat(blob));
        return found?.size === file.size || (await absentAsNull(stat(pointer)))?.size === file.size;
      });
      if (lock === null) {
        await linkBlob(blob, pointer, false);
        return null;
      }
      try {
        return await PartialBlob.open(blob, file.size, lock, (isNew) => linkBlob(blob, pointer, isNew));
      } catch (error) {
        await lock.release();
        throw error;
      }
    });
  }

  #pointer(commit: string, name: string): string {
    const snapshot = join(this.#folder, "snapshots", commit);
    const pointer = join(snapshot, name);
    if (isCommit(commit) && isPlainPath(name) && pointer.startsWith(snapshot + sep)) return pointer;
    throw new GlimtError("CHECKPOINT_INVALID", "A file of the Hub has a name that leads out of the cache.");
  }
}

/** Bytes that are still to be written: some files are there for another commit, of some a download that was cut off left parts. */
export async function missingBytes(blobs: string, files: readonly HubFile[]): Promise<number> {
  const there = await readdir(blobs);
  let missing = 0;
  for (const { etag, size } of new Map(files.map((file) => [file.etag, file])).values()) {
    if ((await absentAsNull(stat(join(blobs, etag))))?.size === size) continue;
    const partial = there.find((name) => isPartial(name, etag));
    const found = partial === undefined ? null : await absentAsNull(stat(join(blobs, partial)));
    missing += Math.max(0, size - (found ? writtenBytes(found) : 0));
  }
  return missing;
}

/** Whether a file in `blobs` is one of an unfinished download of glimt's. */
function isPartial(name: string, etag: string): boolean {
  return name.startsWith(`${etag}.`) && name.endsWith(".glimt.incomplete");
}

/** Without the holes of a file that came in parts. Not all systems tell. */
function writtenBytes({ size, blocks }: Stats): number {
  return blocks === undefined ? size : 512 * blocks;
}

/** So that a file is downloaded once, and what an earlier download left is taken over by one process. */
class BlobLock {
  readonly #path: string;
  readonly #beat: ReturnType<typeof setInterval>;

  private constructor(path: string) {
    this.#path = path;
    this.#beat = setInterval(() => {
      const now = new Date();
      utimes(path, now, now).catch(() => undefined);
    }, BEAT_MS);
    this.#beat.unref();
  }

  /** Null once `isDone`. @throws ABORTED */
  static async take(
    path: string,
    signal: AbortSignal | undefined,
    isDone: () => Promise<boolean>,
  ): Promise<BlobLock | null> {
    for (;;) {
      throwIfAborted(signal);
      if (await isDone()) return null;
      const isTaken = await writeFile(path, JSON.stringify({ pid: process.pid, host: hostname() }), {
        flag: "wx",
      }).then(
        () => true,
        (error: NodeJS.ErrnoException) => {
          if (error.code === "EEXIST") return false;
          throw error;
        },
      );
      if (isTaken) {
        const lock = new BlobLock(path);
        // It may have come between the look and the lock.
        if (!(await isDone())) return lock;
        await lock.release();
        return null;
      }
      if (await isLeft(path)) await removeLeft(path);
      else await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }

  async release(): Promise<void> {
    clearInterval(this.#beat);
    await unlink(this.#path).catch(() => undefined);
  }
}

/** @throws CACHE_FAILED when it can not be removed, so that nobody would ever have the lock again */
async function removeLeft(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === "ENOENT") return;
    throw new GlimtError(
      "CACHE_FAILED",
      `${path} was left by a process that is gone, and can not be removed (${code}): remove it by hand.`,
      { cause },
    );
  }
}

/** Whether who made a lock is gone. */
async function isLeft(path: string): Promise<boolean> {
  const found = await absentAsNull(stat(path));
  if (!found) return true;
  if (Date.now() - found.mtimeMs > DEAD_MS) return true;
  try {
    const { pid, host } = JSON.parse(await readFile(path, "utf8")) as { pid?: unknown; host?: unknown };
    if (host !== hostname() || typeof pid !== "number") return false;
    process.kill(pid, 0);
    return false;
  } catch (error) {
    // Half written, or a process that there is not; one of another user's is there.
    return (error as NodeJS.ErrnoException).code === "ESRCH";
  }
}

/**
 * The parts of a blob, each at its place. Behind them lies a byte a part, which says whether it is there: so that what a
 * download that was cut off left can be told from holes.
 */
class PartialBlob implements PartialFile {
  readonly #file: FileHandle;
  readonly #path: string;
  readonly #blob: string;
  readonly #size: number;
  readonly #has: Uint8Array;
  readonly #lock: BlobLock;
  readonly #link: (isNew: boolean) => Promise<void>;
  #isOpen = true;

  private constructor(
    file: FileHandle,
    path: string,
    blob: string,
    size: number,
    has: Uint8Array,
    lock: BlobLock,
    link: (isNew: boolean) => Promise<void>,
  ) {
    this.#file = file;
    this.#path = path;
    this.#blob = blob;
    this.#size = size;
    this.#has = has;
    this.#lock = lock;
    this.#link = link;
  }

  static async open(
    blob: string,
    size: number,
    lock: BlobLock,
    link: (isNew: boolean) => Promise<void>,
  ): Promise<PartialBlob> {
    // A name of this process's own: Python too has HASH.RANDOM.incomplete, and counts and removes these.
    const path = `${blob}.${randomBytes(4).toString("hex")}.glimt.incomplete`;
    const has = new Uint8Array(partsOf(size));
    const left = (await readdir(dirname(blob))).filter((name) => isPartial(name, basename(blob)));
    for (const name of left) {
      const old = join(dirname(blob), name);
      const isWhole = (await absentAsNull(stat(old)))?.size === size + has.length;
      if (!isWhole) {
        await rm(old, { force: true });
        continue;
      }
      // Of several that want it, one succeeds.
      const isTaken = await rename(old, path).then(
        () => true,
        () => false,
      );
      if (!isTaken) continue;
      const file = await open(path, "r+");
      await orShut(file, file.read(has, 0, has.length, size));
      return new PartialBlob(file, path, blob, size, has, lock, link);
    }
    const file = await open(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0o666);
    await orShut(file, file.write(has, 0, has.length, size));
    return new PartialBlob(file, path, blob, size, has, lock, link);
  }

  has(part: number): boolean {
    return this.#has[part] === 1;
  }

  write(_part: number, at: number, bytes: Uint8Array): Promise<void> {
    return writing(this.#path, async () => {
      for (let done = 0; done < bytes.length; ) {
        done += (await this.#file.write(bytes, done, bytes.length - done, at + done)).bytesWritten;
      }
    });
  }

  keep(part: number): Promise<void> {
    return writing(this.#path, async () => {
      this.#has[part] = 1;
      await this.#file.write(this.#has, part, 1, this.#size + part);
    });
  }

  read(part: number, at: number, bytes: number): Promise<Uint8Array> {
    return writing(this.#path, async () => {
      const end = Math.min(at + bytes, (part + 1) * PART_BYTES, this.#size);
      const into = new Uint8Array(end - at);
      for (let done = 0; done < into.length; ) {
        const { bytesRead } = await this.#file.read(into, done, into.length - done, at + done);
        if (bytesRead === 0) throw new Error("it became shorter");
        done += bytesRead;
      }
      return into;
    });
  }

  finish(): Promise<void> {
    return writing(this.#blob, async () => {
      await this.#file.truncate(this.#size);
      // A name that says what the content is must not survive content that was not yet written.
      await this.#file.datasync();
      await this.#shut();
      await rename(this.#path, this.#blob).catch(async (error) => {
        // Who slept for long may find that another took it over, and is done.
        if ((await absentAsNull(stat(this.#blob)))?.size !== this.#size) throw error;
      });
      await this.#link(true);
    });
  }

  async discard(): Promise<void> {
    await this.#shut();
    await rm(this.#path, { force: true });
  }

  async close(): Promise<void> {
    const isEmpty = this.#isOpen && !this.#has.includes(1);
    await this.#shut();
    if (isEmpty) await rm(this.#path, { force: true }).catch(() => undefined);
    await this.#lock.release();
  }

  async #shut(): Promise<void> {
    if (this.#isOpen) await this.#file.close();
    this.#isOpen = false;
  }
}

async function orShut<T>(file: FileHandle, task: Promise<T>): Promise<T> {
  return task.catch(async (error) => {
    await file.close();
    throw error;
  });
}

/** Makes `pointer` lead to the blob. Where links can not be made the file itself lies there, as Python does it. */
async function linkBlob(blob: string, pointer: string, isNew: boolean): Promise<void> {
  // Through a link: one that leads nowhere is replaced.
  if (await absentAsNull(stat(pointer))) return;
  await mkdir(dirname(pointer), { recursive: true });
  await rm(pointer, { force: true });
  const isLinked =
    !isTrue(ENVIRONMENT.HF_HUB_DISABLE_SYMLINKS) &&
    (await symlink(relative(dirname(pointer), blob), pointer).then(
      () => true,
      (error: NodeJS.ErrnoException) => error.code === "EEXIST",
    ));
  if (isLinked) return;
  if (isNew) await rename(blob, pointer);
  else await copyFile(blob, pointer);
}

async function replaceFile(path: string, content: string): Promise<void> {
  const beside = `${path}.${randomBytes(4).toString("hex")}.tmp`;
  await mkdir(dirname(path), { recursive: true });
  await writeFile(beside, content);
  await rename(beside, path);
}

interface Snapshot extends CachedRevision {
  readonly folder: string;
  /** Path -> bytes of the contents. */
  readonly blobs: ReadonlyMap<string, number>;
}

async function listModels(root: string): Promise<CachedModel[]> {
  const folders = (await absentAsNull(readdir(root, { withFileTypes: true }))) ?? [];
  const models = folders
    .filter((entry) => entry.isDirectory() && entry.name.startsWith(PREFIX))
    .map(({ name }) => describeModel(root, name.slice(PREFIX.length).replace("--", "/")));
  return (await Promise.all(models)).sort((a, b) => (a.repository < b.repository ? -1 : 1));
}

async function describeModel(root: string, repository: string): Promise<CachedModel> {
  const folder = join(root, folderOf(repository));
  const snapshots = await listSnapshots(folder);
  const blobs = new Map(snapshots.flatMap((snapshot) => [...snapshot.blobs]));
  let unfinishedBytes = 0;
  for (const name of (await absentAsNull(readdir(join(folder, "blobs")))) ?? []) {
    if (!name.endsWith(".incomplete")) continue;
    const found = await absentAsNull(stat(join(folder, "blobs", name)));
    if (found) unfinishedBytes += writtenBytes(found);
  }
  let lastUsed: number | null = null;
  for (const path of blobs.keys()) {
    const found = await absentAsNull(stat(path));
    if (found) lastUsed = Math.max(lastUsed ?? 0, found.atimeMs, found.mtimeMs);
  }
  const bytes = [...blobs.values()].reduce((sum, size) => sum + size, 0);
  const revisions = snapshots.map(({ commit, refs, files, bytes }) => ({ commit, refs, files, bytes }));
  return { repository, bytes, unfinishedBytes, lastUsed, revisions };
}

async function listSnapshots(folder: string): Promise<Snapshot[]> {
  const refs = new Map<string, string>();
  for (const path of await filesBelow(join(folder, "refs"))) {
    const commit = await readFile(path, "utf8").catch(() => "");
    refs.set(relative(join(folder, "refs"), path).split(sep).join("/"), commit.trim());
  }
  const commits = (await absentAsNull(readdir(join(folder, "snapshots")))) ?? [];
  const snapshots: Snapshot[] = [];
  for (const commit of commits.filter(isCommit).sort()) {
    const path = join(folder, "snapshots", commit);
    const blobs = new Map<string, number>();
    const files = await filesBelow(path);
    for (const file of files) {
      const found = await absentAsNull(stat(file));
      const target = await readlink(file).then(
        (link) => resolve(dirname(file), link),
        () => file,
      );
      if (found) blobs.set(target, found.size);
    }
    snapshots.push({
      commit,
      refs: [...refs].filter(([, at]) => at === commit).map(([name]) => name),
      files: files.length,
      bytes: [...blobs.values()].reduce((sum, size) => sum + size, 0),
      folder: path,
      blobs,
    });
  }
  return snapshots;
}

/** Files and links to files; links to folders are not followed. */
async function filesBelow(folder: string): Promise<string[]> {
  const entries = (await absentAsNull(readdir(folder, { withFileTypes: true }))) ?? [];
  const found = entries.map((entry) => {
    const path = join(folder, entry.name);
    return entry.isDirectory() ? filesBelow(path) : Promise.resolve([path]);
  });
  return (await Promise.all(found)).flat();
}

async function removeModel(
  root: string,
  repository: string,
  revision: string | null,
): Promise<number | null> {
  const folder = join(root, folderOf(repository));
  if (!(await absentAsNull(stat(folder)))) return null;
  return writing(folder, async () => {
    const snapshots = await listSnapshots(folder);
    const gone = snapshots.filter(
      ({ commit, refs }) => revision === null || commit === revision || refs.includes(revision),
    );
    if (revision !== null && gone.length === 0) return null;
    const kept = snapshots.filter((snapshot) => !gone.includes(snapshot));
    if (kept.length === 0) {
      const { bytes, unfinishedBytes } = await describeModel(root, repository);
      await rm(folder, { recursive: true, force: true });
      await rm(join(root, ".locks", folderOf(repository)), { recursive: true, force: true });
      return bytes + unfinishedBytes;
    }
    const needed = new Set(kept.flatMap(({ blobs }) => [...blobs.keys()]));
    let bytes = 0;
    for (const { commit, refs, blobs, folder: path } of gone) {
      for (const ref of refs) await rm(join(folder, "refs", ref), { force: true });
      await rm(path, { recursive: true, force: true });
      await rm(join(folder, ".no_exist", commit), { recursive: true, force: true });
      await rm(join(folder, "trees", `${commit}.json`), { force: true });
      for (const [blob, size] of blobs) {
        const isOurs = dirname(blob) === join(folder, "blobs");
        if (needed.has(blob) || !isOurs) continue;
        await rm(blob, { force: true });
        bytes += size;
      }
    }
    return bytes;
  });
}
