/** Which process downloads a blob. */
import { readFile, stat, unlink, utimes, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { GlimtError, throwIfAborted } from "../../errors.ts";
import { absentAsNull } from "./cache-access.node.ts";

/** Between signs of life of who downloads, and the silence after which another takes over. */
const [BEAT_MS, DEAD_MS, LOOK_MS] = [2000, 30_000, 200];

/** So that a file is downloaded once, and what an earlier download left is taken over by one process. */
export class BlobLock {
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
