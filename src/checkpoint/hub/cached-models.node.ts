/** What is in the cache, and removing it. */
import { readdir, readFile, readlink, rm, stat } from "node:fs/promises";
import { dirname, join, relative, resolve, sep } from "node:path";
import { GlimtError } from "../../errors.ts";
import type { CachedModel, CachedRevision } from "./cache.ts";
import { absentAsNull, folderOf, PREFIX, writing } from "./cache-access.node.ts";
import { isCommit } from "./location.ts";
import { writtenBytes } from "./partial-blob.node.ts";

interface Snapshot extends CachedRevision {
  readonly folder: string;
  /** Path -> bytes of the contents. */
  readonly blobs: ReadonlyMap<string, number>;
}

export async function listModels(root: string): Promise<CachedModel[]> {
  const folders = (await absentAsNull(inFolder(root, readdir(root, { withFileTypes: true })))) ?? [];
  const models = folders
    .filter((entry) => entry.isDirectory() && entry.name.startsWith(PREFIX))
    .map(({ name }) => describeModel(root, name.slice(PREFIX.length).replace("--", "/")));
  return (await Promise.all(models)).sort((a, b) => (a.repository < b.repository ? -1 : 1));
}

/** A cache that is not there yet has no models; what is no folder will never have one. @throws CACHE_FAILED */
async function inFolder<T>(root: string, task: Promise<T>): Promise<T> {
  return task.catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "ENOTDIR") throw error;
    throw new GlimtError(
      "CACHE_FAILED",
      `${root} is no folder, or lies in what is none: the cache of the Hub's files is a folder, given by hub.cacheDir or HF_HUB_CACHE.`,
      { cause: error },
    );
  });
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

export async function removeModel(
  root: string,
  repository: string,
  revision: string | null,
): Promise<number | null> {
  const folder = join(root, folderOf(repository));
  if (!(await absentAsNull(inFolder(root, stat(folder))))) return null;
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
