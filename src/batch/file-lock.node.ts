/** One process at a time writes a file that is gone on with: the system's locks can not be taken in Node. */
import { readFile, realpath, stat, unlink, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { resolve } from "node:path";
import { failing } from "../checkpoint/write/output-files.node.ts";
import { GlimtError } from "../errors.ts";

/** In which whoever made a lock has written who it is. */
const WRITTEN_MS = 10_000;

/** Of this process. One that names its number and is not here is of an earlier process, as in a container begun again. */
const own = new Set<string>();

/**
 * Makes `FILE.lock`; one that a process of this machine left which is gone is taken over.
 *
 * @returns what removes it. @throws OUTPUT_FAILED when another process has it
 */
export async function lockFile(path: string): Promise<() => Promise<void>> {
  // Of the file itself, whichever link it is called by.
  const lock = `${await realpath(path).catch(() => resolve(path))}.lock`;
  for (let tries = 0; tries < 3; tries++) {
    if (await isMade(lock)) {
      own.add(lock);
      return async () => {
        own.delete(lock);
        await unlink(lock).catch(() => undefined);
      };
    }
    if (!(await isLeft(lock))) break;
    await removeLeft(lock);
  }
  throw new GlimtError(
    "OUTPUT_FAILED",
    `${path} is being written by another process: wait for it, or remove ${lock} if there is none.`,
  );
}

async function isMade(lock: string): Promise<boolean> {
  const text = JSON.stringify({ pid: process.pid, host: hostname() });
  try {
    await failing(lock, () => writeFile(lock, text, { flag: "wx" }));
    return true;
  } catch (error) {
    if (((error as GlimtError).cause as NodeJS.ErrnoException | undefined)?.code === "EEXIST") return false;
    throw error;
  }
}

/**
 * One process at a time looks again and removes it: of two that had both seen it left, the second would remove the lock that
 * the first has made meanwhile.
 */
async function removeLeft(lock: string): Promise<void> {
  const guard = `${lock}.taken-over`;
  if (!(await isMade(guard))) {
    if (await isOld(guard)) await unlink(guard).catch(() => undefined);
    return;
  }
  try {
    if (await isLeft(lock)) await unlink(lock).catch(() => undefined);
  } finally {
    await unlink(guard).catch(() => undefined);
  }
}

async function isLeft(lock: string): Promise<boolean> {
  try {
    const { pid, host } = JSON.parse(await readFile(lock, "utf8")) as { pid?: unknown; host?: unknown };
    if (host !== hostname() || typeof pid !== "number") return false;
    if (pid === process.pid) return !own.has(lock);
    process.kill(pid, 0);
    return false;
  } catch (error) {
    if (error instanceof SyntaxError) return isOld(lock);
    // A process that there is not, or a lock that is gone by now; a process of another user's is there.
    return ["ESRCH", "ENOENT"].includes(String((error as NodeJS.ErrnoException).code));
  }
}

async function isOld(lock: string): Promise<boolean> {
  const found = await stat(lock).catch(() => null);
  return found === null || Date.now() - found.mtimeMs > WRITTEN_MS;
}
