/** Files that are written, and why they could not be. */
import type { FileHandle } from "node:fs/promises";
import { GlimtError } from "../../errors.ts";

const REASONS: Readonly<Record<string, string>> = {
  ENOSPC: "the disk is full",
  EDQUOT: "the disk quota is used up",
  EROFS: "the file system can only be read",
  EACCES: "there is no permission to write there",
  EPERM: "there is no permission to write there",
  EFBIG: "the file system holds no file that large",
  ENOENT: "there is no such folder",
  EISDIR: "it is a folder",
  ENOTDIR: "a part of the path is no folder",
  EEXIST: "there is a file of that name",
  ENAMETOOLONG: "the name is too long",
};

export async function writeAll(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, position + done);
    done += bytesWritten;
  }
}

/** What `work` gives. @throws OUTPUT_FAILED about `path` in place of what the system throws */
export async function failing<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw outputError(path, error);
  }
}

export function outputError(path: string, error: unknown): GlimtError {
  if (error instanceof GlimtError) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  const reason = REASONS[String(code)] ?? message;
  return new GlimtError("OUTPUT_FAILED", `${path} can not be written: ${reason}.`, { cause: error });
}
