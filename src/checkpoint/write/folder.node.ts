/**
 * Writes a checkpoint into a folder: under a name of its own first, so that no half of one is ever there. That lies beside
 * a folder that is to be made, and inside one that is there: what is beside it may be another disk, or not ours to write.
 */
import { type FileHandle, mkdir, open, readdir, realpath, rename, rm, rmdir, statfs } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { GlimtError } from "../../errors.ts";
import type { OutputFile, OutputFolder, OutputOptions } from "./output.ts";
import { failing, outputError, writeAll } from "./output-files.node.ts";

/** Weights of the checkpoint that is replaced: none of them may be taken for the new one's. */
const WEIGHTS = /^model(-\d+-of-\d+)?\.safetensors$|^model\.safetensors\.index\.json$/;

const CONFIG = "config.json";

/** @throws OPTION_INVALID, OUTPUT_FAILED */
export async function openFolder(
  path: string,
  { source, bytes, force }: OutputOptions,
): Promise<OutputFolder> {
  const folder = resolve(path);
  await refuseSource(folder, source);
  const found = await namesIn(folder);
  if (found && found.length > 0) refuseFilled(path, found, force);
  const parent = found ? folder : dirname(folder);
  const made = await failing(folder, () => mkdir(parent, { recursive: true }));
  const partial = join(parent, `.${basename(folder)}.partial-${process.pid}-${Date.now()}`);
  try {
    await refuseFull(parent, path, bytes);
    await failing(folder, () => mkdir(partial));
  } catch (error) {
    await removeEmpty(parent, made);
    throw error;
  }
  return new Folder(folder, partial, made);
}

class Folder implements OutputFolder {
  readonly location: string;
  readonly #partial: string;
  readonly #made: string | undefined;
  readonly #open = new Set<FileHandle>();

  /** @param made the outermost folder that was made around it */
  constructor(location: string, partial: string, made: string | undefined) {
    this.location = location;
    this.#partial = partial;
    this.#made = made;
  }

  async create(name: string): Promise<OutputFile> {
    const file = await failing(this.location, () => open(join(this.#partial, name), "wx"));
    this.#open.add(file);
    return {
      write: (position, bytes) => failing(this.location, () => writeAll(file, bytes, position)),
      close: () =>
        failing(this.location, async () => {
          // A disk may say only now that it has no room.
          await file.sync();
          this.#open.delete(file);
          await file.close();
        }),
    };
  }

  finish(): Promise<void> {
    return failing(this.location, async () => {
      const before = await namesIn(this.location);
      if (!before) {
        await rename(this.#partial, this.location);
        return;
      }
      for (const name of before) if (WEIGHTS.test(name)) await rm(join(this.location, name));
      // A folder is a checkpoint from the moment on when it has a configuration.
      const names = (await readdir(this.#partial)).filter((name) => name !== CONFIG);
      for (const name of [...names, CONFIG]) {
        await rename(join(this.#partial, name), join(this.location, name));
      }
      await rmdir(this.#partial);
    });
  }

  async discard(): Promise<void> {
    for (const file of this.#open) await file.close().catch(() => undefined);
    await rm(this.#partial, { recursive: true, force: true });
    await removeEmpty(dirname(this.#partial), this.#made);
  }
}

/** A folder and those around it, up to the outermost that was made, as far as nothing else lies in them. */
async function removeEmpty(folder: string, outermost: string | undefined): Promise<void> {
  if (outermost === undefined) return;
  for (let path = folder; path.length >= outermost.length; path = dirname(path)) {
    const removed = await rmdir(path).then(
      () => true,
      () => false,
    );
    if (!removed) return;
  }
}

async function refuseSource(folder: string, source: string): Promise<void> {
  const [here, there] = await Promise.all([folder, source].map((path) => realpath(path).catch(() => null)));
  if (here === null || here !== there) return;
  throw new GlimtError(
    "OPTION_INVALID",
    `${folder} is the checkpoint that is read: write to another folder.`,
  );
}

function refuseFilled(path: string, found: readonly string[], force: boolean): void {
  if (force && found.includes(CONFIG)) return;
  const advice = found.includes(CONFIG)
    ? "choose another, or replace the checkpoint in it with force (--force)"
    : "choose another, or an empty one";
  throw new GlimtError("OPTION_INVALID", `${path} holds ${found.length} files already: ${advice}.`);
}

async function refuseFull(parent: string, path: string, bytes: number): Promise<void> {
  // Some file systems do not tell.
  const free = await statfs(parent).then(
    ({ bavail, bsize }) => bavail * bsize,
    () => Number.POSITIVE_INFINITY,
  );
  if (bytes <= free) return;
  const megabytes = (size: number) => `${(size / 1e6).toFixed(size < 100e6 ? 1 : 0)} MB`;
  throw new GlimtError(
    "OUTPUT_FAILED",
    `${path} can not be written: it takes ${megabytes(bytes)}, and the disk has room for ${megabytes(free)}.`,
  );
}

/** Null when there is no such folder. @throws OPTION_INVALID when it is something else */
async function namesIn(folder: string): Promise<string[] | null> {
  try {
    return await readdir(folder);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return null;
    if (code === "ENOTDIR") throw new GlimtError("OPTION_INVALID", `${folder} is no folder.`);
    throw outputError(folder, error);
  }
}
