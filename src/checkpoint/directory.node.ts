/** A checkpoint in a directory, read at given positions. A file is open only while it is read. */
import { type FileHandle, open, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { GlimtError, throwIfAborted } from "../errors.ts";
import { type CheckpointFiles, truncated } from "./files.ts";

/** @throws CHECKPOINT_NOT_FOUND when `directory` is none. */
export async function openDirectory(directory: string): Promise<CheckpointFiles> {
  const found = await absentAsNull(stat(directory));
  if (!found?.isDirectory()) {
    throw new GlimtError(
      "CHECKPOINT_NOT_FOUND",
      `${directory} is ${found ? "not a directory" : "not there"}; give the directory that holds config.json.`,
    );
  }
  return {
    location: directory,
    async size(name) {
      const file = await absentAsNull(stat(join(directory, name)));
      return file?.isFile() ? file.size : null;
    },
    async readAll(name, signal) {
      throwIfAborted(signal);
      return absentAsNull(readFile(join(directory, name)));
    },
    async readInto(name, offset, into, signal) {
      const file = await open(join(directory, name), "r");
      try {
        await fill(file, directory, name, offset, into, signal);
      } finally {
        await file.close();
      }
    },
  };
}

async function fill(
  file: FileHandle,
  directory: string,
  name: string,
  offset: number,
  into: Uint8Array,
  signal: AbortSignal | undefined,
): Promise<void> {
  for (let done = 0; done < into.length; ) {
    throwIfAborted(signal);
    const { bytesRead } = await file.read(into, done, into.length - done, offset + done);
    if (bytesRead === 0) throw truncated(directory, name, offset, into.length);
    done += bytesRead;
  }
}

async function absentAsNull<T>(result: Promise<T>): Promise<T | null> {
  try {
    return await result;
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes((error as NodeJS.ErrnoException).code ?? "")) return null;
    throw error;
  }
}
