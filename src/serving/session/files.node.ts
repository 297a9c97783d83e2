/** Sessions as files: written under another name first, so that no half of one is ever there; only their owner reads them. */
import { randomUUID } from "node:crypto";
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
    try {
      const file = await open(path, "r");
      const { size } = await file.stat();
      return {
        bytes: size,
        async read(offset, count) {
          const bytes = new Uint8Array(Math.max(0, Math.min(count, size - offset)));
          let done = 0;
          while (done < bytes.length) {
            const { bytesRead } = await file
              .read(bytes, done, bytes.length - done, offset + done)
              .catch((error) => {
                throw fileError(path, error, "SESSION_INVALID");
              });
            if (bytesRead === 0) break;
            done += bytesRead;
          }
          return bytes.subarray(0, done);
        },
        close: () => file.close(),
      };
    } catch (error) {
      throw fileError(path, error, "SESSION_INVALID");
    }
  },
};

/** A file takes the place of a file: of /dev/null, for one, it would take it too, from all that use it. */
async function checkReplaceable(path: string): Promise<void> {
  const found = await stat(path).catch(ignoreMissing);
  if (!found || found.isFile()) return;
  const what = found.isDirectory() ? "a directory" : "no regular file";
  throw new GlimtError("OUTPUT_FAILED", `${path} can not be written: it is ${what}.`);
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
