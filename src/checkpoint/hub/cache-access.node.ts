/** The cache's folders, and what the file system says of them in the cache's words. */
import { GlimtError } from "../../errors.ts";
import { fileError } from "../file-errors.ts";

export const PREFIX = "models--";

export function folderOf(repository: string): string {
  return PREFIX + repository.replace("/", "--");
}

/** @throws CACHE_FAILED in place of what the file system says */
export async function writing<T>(path: string, task: () => Promise<T>): Promise<T> {
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
export async function reading<T>(path: string, task: () => Promise<T>): Promise<T> {
  try {
    return await task();
  } catch (error) {
    throw fileError(path, error, "CACHE_FAILED");
  }
}

export async function absentAsNull<T>(task: Promise<T>): Promise<T | null> {
  return task.catch((error: NodeJS.ErrnoException) => {
    // A link that leads round in a circle leads nowhere.
    if (["ENOENT", "ENOTDIR", "ELOOP"].includes(error.code ?? "")) return null;
    throw error;
  });
}
