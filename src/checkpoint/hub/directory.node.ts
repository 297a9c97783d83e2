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
import { copyFile, mkdir, readFile, rename, rm, stat, statfs, symlink, writeFile } from "node:fs/promises";
import { dirname, join, relative, sep } from "node:path";
import { GlimtError } from "../../errors.ts";
import { DirectoryFiles } from "../directory.node.ts";
import { BlobLock } from "./blob-lock.node.ts";
import type { HubCache, HubFile, ModelCache, PartialFile } from "./cache.ts";
import { absentAsNull, folderOf, reading, writing } from "./cache-access.node.ts";
import { listModels, removeModel } from "./cached-models.node.ts";
import { isCommit, isPlainPath } from "./location.ts";
import { missingBytes, PartialBlob } from "./partial-blob.node.ts";
import { ENVIRONMENT, isTrue } from "./settings.node.ts";

const TAG =
  "Signature: 8a477f597d28d172789f06886806bc55\n# This file is a cache directory tag created by glimt, for the cache of Hugging Face's Hub.\n";
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
