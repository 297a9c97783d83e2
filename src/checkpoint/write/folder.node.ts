/** Writes a checkpoint into a folder: under a name of its own first, beside its place, so that no half of one is ever there. */
import { type FileHandle, mkdir, open, readdir, realpath, rename, rm, rmdir, statfs } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { GlimtError } from "../../errors.ts";
import type { OutputFile, OutputFolder, OutputOptions } from "./output.ts";

/** Weights of the checkpoint that is replaced: none of them may be taken for the new one's. */
const WEIGHTS = /^model(-\d+-of-\d+)?\.safetensors$|^model\.safetensors\.index\.json$/;

const REASONS: Readonly<Record<string, string>> = {
  ENOSPC: "the disk is full",
  EDQUOT: "the disk quota is used up",
  EROFS: "the file system can only be read",
  EACCES: "there is no permission to write there",
  EPERM: "there is no permission to write there",
  EFBIG: "the file system holds no file that large",
  ENOTDIR: "a part of the path is no folder",
  EEXIST: "there is a file of that name",
  ENAMETOOLONG: "the name is too long",
};

/** @throws OPTION_INVALID, OUTPUT_FAILED */
export async function openFolder(
  path: string,
  { source, bytes, force }: OutputOptions,
): Promise<OutputFolder> {
  const folder = resolve(path);
  await refuseSource(folder, source);
  const found = await namesIn(folder);
  if (found && found.length > 0) refuseFilled(path, found, force);
  await failing(folder, () => mkdir(dirname(folder), { recursive: true }));
  await refuseFull(dirname(folder), path, bytes);
  const partial = join(dirname(folder), `.${basename(folder)}.partial-${process.pid}-${Date.now()}`);
  await failing(folder, () => mkdir(partial));
  return new Folder(folder, partial);
}

class Folder implements OutputFolder {
  readonly location: string;
  readonly #partial: string;
  readonly #open = new Set<FileHandle>();

  constructor(location: string, partial: string) {
    this.location = location;
    this.#partial = partial;
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
      if (!before || before.length === 0) {
        if (before) await rmdir(this.location);
        await rename(this.#partial, this.location);
        return;
      }
      for (const name of before) if (WEIGHTS.test(name)) await rm(join(this.location, name));
      const names = await readdir(this.#partial);
      for (const name of names) await rename(join(this.#partial, name), join(this.location, name));
      await rmdir(this.#partial);
    });
  }

  async discard(): Promise<void> {
    for (const file of this.#open) await file.close().catch(() => undefined);
    await rm(this.#partial, { recursive: true, force: true });
  }
}

async function writeAll(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, position + done);
    done += bytesWritten;
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
  if (force && found.includes("config.json")) return;
  const advice = found.includes("config.json")
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
  const gb = (size: number) => `${(size / 1e9).toFixed(2)} GB`;
  throw new GlimtError(
    "OUTPUT_FAILED",
    `${path} can not be written: it takes ${gb(bytes)}, and the disk has room for ${gb(free)}.`,
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

async function failing<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw outputError(path, error);
  }
}

function outputError(path: string, error: unknown): GlimtError {
  if (error instanceof GlimtError) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  const reason = REASONS[String(code)] ?? message;
  return new GlimtError("OUTPUT_FAILED", `${path} can not be written: ${reason}.`, { cause: error });
}
