/** Files that a command is told to write. */
import { constants } from "node:fs";
import { access, realpath, stat, writeFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { GlimtError } from "../errors.ts";

/** @throws OPTION_INVALID naming the flag when the file can not be written */
export async function writeOutput(flag: string, file: string, content: string | Uint8Array): Promise<void> {
  refuseDash(flag, file);
  await writeFile(file, content).catch((cause) => refuse(flag, file, cause));
}

/**
 * Before long work, whose result would be lost.
 *
 * @param inputs what the command reads, which it does not replace
 * @throws OPTION_INVALID naming the flag when there is no place for the file
 */
export async function checkOutput(
  flag: string,
  file: string,
  inputs: readonly (string | undefined)[] = [],
): Promise<void> {
  refuseDash(flag, file);
  const found = await stat(file).catch(() => null);
  if (found?.isDirectory()) refuse(flag, file, { code: "EISDIR" });
  for (const input of inputs) {
    const read = found && input ? await stat(input).catch(() => null) : null;
    if (read && read.dev === found?.dev && read.ino === found.ino) {
      throw new GlimtError(
        "OPTION_INVALID",
        `${flag}: ${file} is what the command reads; give another file.`,
      );
    }
  }
  // One without a name has no place.
  await access(found || file === "" ? file : dirname(file), constants.W_OK).catch((cause) =>
    refuse(flag, file, cause),
  );
}

/**
 * All that a command writes, before any work: of two with one place the later would silently take that of the earlier.
 *
 * @param outputs by flag; undefined for those that are not given
 * @throws OPTION_INVALID as `checkOutput`, and naming both flags
 */
export async function checkOutputs(
  outputs: Readonly<Record<string, string | undefined>>,
  inputs: readonly (string | undefined)[] = [],
): Promise<void> {
  const flags = new Map<string, string>();
  for (const [flag, file] of Object.entries(outputs)) {
    if (file === undefined) continue;
    await checkOutput(flag, file, inputs);
    const place = await placeOf(file);
    const other = place === null ? undefined : flags.get(place);
    if (other !== undefined) {
      throw new GlimtError(
        "OPTION_INVALID",
        `${flag}: ${file} is what ${other} writes; give each a file of its own.`,
      );
    }
    if (place !== null) flags.set(place, flag);
  }
}

/** The same for all names of a file, whether it is there or not; null for what is no file, such as /dev/null, which takes all. */
async function placeOf(file: string): Promise<string | null> {
  const found = await stat(file).catch(() => null);
  if (found) return found.isFile() ? `${found.dev}:${found.ino}` : null;
  const folder = dirname(file);
  return join(await realpath(folder).catch(() => resolve(folder)), basename(file));
}

/** It is standard input elsewhere, and would be a file of this name here. */
function refuseDash(flag: string, file: string): void {
  if (file !== "-") return;
  throw new GlimtError("OPTION_INVALID", `${flag}: - is no file: give its name (./- if that is its name).`);
}

function refuse(flag: string, file: string, cause: Partial<NodeJS.ErrnoException>): never {
  const name = file === "" ? "a file without a name" : file;
  throw new GlimtError("OPTION_INVALID", `${flag}: ${name} can not be written: ${reasonOf(cause)}.`, {
    cause,
  });
}

function reasonOf({ code, message }: Partial<NodeJS.ErrnoException>): string {
  if (code === "ENOENT") return "there is no such folder";
  if (code === "EISDIR") return "it is a directory";
  if (code === "ENOTDIR") return "a part of its path is no folder";
  if (code === "EACCES" || code === "EPERM" || code === "EROFS") return "that is not permitted";
  return message ?? String(code);
}
