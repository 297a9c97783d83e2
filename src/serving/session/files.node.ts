/** Sessions as files: written under another name first, so that no half of one is ever there; only their owner reads them. */
import { randomUUID } from "node:crypto";
import { constants, type Stats } from "node:fs";
import { open, rename, rm, stat } from "node:fs/promises";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { fileError } from "../../checkpoint/file-errors.ts";
import { failing, writeAll } from "../../checkpoint/write/output-files.node.ts";
import { GlimtError } from "../../errors.ts";
import { shown } from "../../given.ts";
import type { SessionFiles } from "./storage.ts";

export const sessionFiles: SessionFiles = {
  async create(given) {
    const path = pathOf(given);
    await failing(path, () => checkReplaceable(path));
    const partial = `${path}.partial-${process.pid}-${randomUUID()}`;
    const file = await failing(path, () => open(partial, "wx", 0o600));
    let position = 0;
    return {
      write: (bytes) =>
        failing(path, async () => {
          await writeAll(file, bytes, position);
          position += bytes.length;
        }),
      finish: () =>
        failing(path, async () => {
          // A disk may say only now that it has no room.
          await file.sync();
          await file.close();
          await rename(partial, path);
        }),
      async discard() {
        await file.close().catch(() => undefined);
        await rm(partial, { force: true });
      },
    };
  },

  async open(given) {
    const path = pathOf(given);
    const reading = <T>(work: () => Promise<T>) => asSession(path, work);
    // A pipe is opened without waiting for who writes into it; not on Windows, where that does not exist.
    const file = await reading(() => open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)));
    try {
      const { size } = await reading(async () => requireRegular(path, await file.stat()));
      return {
        bytes: size,
        async read(offset, count) {
          const bytes = new Uint8Array(Math.max(0, Math.min(count, size - offset)));
          let done = 0;
          while (done < bytes.length) {
            const { bytesRead } = await reading(() =>
              file.read(bytes, done, bytes.length - done, offset + done),
            );
            if (bytesRead === 0) break;
            done += bytesRead;
          }
          return bytes.subarray(0, done);
        },
        close: () => file.close(),
      };
    } catch (error) {
      await file.close();
      throw error;
    }
  },
};

/** @throws SESSION_INVALID in place of what the system throws */
async function asSession<T>(path: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    throw fileError(path, error, "SESSION_INVALID");
  }
}

function requireRegular(path: string, found: Stats): Stats {
  if (found.isFile()) return found;
  throw new GlimtError("SESSION_INVALID", `${path} can not be read: it is ${kindOf(found)}.`);
}

function kindOf(found: Stats): string {
  return found.isDirectory() ? "a directory" : "no regular file";
}

/** A file takes the place of a file: of /dev/null, for one, it would take it too, from all that use it. */
async function checkReplaceable(path: string): Promise<void> {
  const found = await stat(path).catch(ignoreMissing);
  if (!found || found.isFile()) return;
  throw new GlimtError("OUTPUT_FAILED", `${path} can not be written: it is ${kindOf(found)}.`);
}

function ignoreMissing(error: NodeJS.ErrnoException): null {
  if (error.code === "ENOENT") return null;
  throw error;
}

function pathOf(given: string | URL): string {
  try {
    return resolve(given instanceof URL || /^file:/i.test(given) ? fileURLToPath(given) : given);
  } catch (cause) {
    throw new GlimtError(
      "OPTION_INVALID",
      `A session's path is ${shown(given)}, which names no local file.`,
      {
        cause,
      },
    );
  }
}
