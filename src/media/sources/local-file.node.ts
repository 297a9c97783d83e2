/** Local files: regular ones only, within folders that are allowed, and never so that a read waits for somebody. */
import { constants } from "node:fs";
import { type FileHandle, lstat, open, readlink, realpath, stat } from "node:fs/promises";
import { join, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { brokenLink } from "./link.node.ts";
import { checkSize, type Reading, refused } from "./reading.ts";

/** What of a file's status tells its kind. */
type Kind = Pick<
  Awaited<ReturnType<typeof stat>>,
  "isFile" | "isDirectory" | "isFIFO" | "isSocket" | "isCharacterDevice" | "isBlockDevice"
>;

/** Bytes between two looks at the signal. */
const PIECE = 2 ** 23;
const MOST_LINKS = 40;

/**
 * The bytes of a file, for SourceOptions.readFile.
 *
 * @throws SOURCE_REFUSED, SOURCE_TOO_LARGE; Error of the system, or saying what is wrong with the file
 */
export async function readLocalFile(path: string | URL, reading: Reading): Promise<Uint8Array> {
  const allowed = await allowedPath(path, reading);
  // Opening a pipe waits for who writes to it, and opening a device may do things.
  requireRegular(await statusOf(allowed, reading));
  const isLimited = reading.rule.type !== "any";
  const links = isLimited ? constants.O_NOFOLLOW : 0;
  const handle = await open(allowed, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0) | (links ?? 0));
  try {
    const status = await handle.stat();
    requireRegular(status);
    if (isLimited && !(await isStillAllowed(handle, allowed, reading))) throw refused(reading.what, "file");
    checkSize(status.size, reading);
    return await readWhole(handle, status.size, reading);
  } finally {
    await handle.close();
  }
}

/** Of the file itself. @throws Error of the system, or saying that the path is a link to what is not there */
export async function statusOf(path: string, { rule }: Reading) {
  return stat(path).catch(async (error: NodeJS.ErrnoException) => {
    // Where a link leads is not for those who may not read everything.
    const broken = error.code === "ENOENT" && rule.type === "any" ? await brokenLink(path) : null;
    throw broken === null ? error : new Error(`ENOENT: ${broken}`, { cause: error });
  });
}

async function readWhole(handle: FileHandle, size: number, reading: Reading): Promise<Uint8Array> {
  const bytes = new Uint8Array(size);
  let length = 0;
  while (length < size) {
    reading.signal.throwIfAborted();
    const { bytesRead } = await handle.read(bytes, length, Math.min(PIECE, size - length), length);
    reading.progress();
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  const { bytesRead: more } = await handle.read(new Uint8Array(1), 0, 1, size);
  if (length === size && more === 0) return bytes;
  const found = more > 0 ? "holds more than" : "ends before";
  throw new Error(`it ${found} the ${size} bytes it says: it is being written, or no plain file`);
}

function requireRegular(status: Kind): void {
  if (status.isFile()) return;
  // As the system says it.
  if (status.isDirectory()) throw Object.assign(new Error("it is a folder"), { code: "EISDIR" });
  const kind = status.isFIFO() ? "pipe" : status.isSocket() ? "socket" : "device";
  throw new Error(`it is a ${kind}, and only files are read; read it yourself and give its bytes`);
}

/**
 * The absolute path to open: with folders or a function as rule the real one, which holds no links.
 *
 * @throws SOURCE_REFUSED without having looked at what is refused; Error of the system
 */
export async function allowedPath(path: string | URL, { rule, what }: Reading): Promise<string> {
  const given = resolve(typeof path === "string" ? path : fileURLToPath(path));
  if (given.includes("\0")) throw new Error("its path holds a letter that no path may");
  if (rule.type === "any") return given;
  if (rule.type === "list") return pathInFolders(given, rule.folders, what);
  if (!(await rule.ask({ kind: "file", path: given }))) throw refused(what, "file");
  const real = await realpath(given);
  if (real !== given && !(await rule.ask({ kind: "file", path: real }))) throw refused(what, "file");
  return real;
}

interface Folder {
  readonly given: string;
  readonly real: string;
}

/** Follows the path name by name and link by link, so that nothing outside of the folders is looked at. */
async function pathInFolders(path: string, folders: readonly string[], what: string): Promise<string> {
  const known = await Promise.all(folders.map(knownFolder));
  let place = placeIn(path, known);
  for (let links = 0; place; links++) {
    if (links > MOST_LINKS) throw Object.assign(new Error("too many links"), { code: "ELOOP" });
    const followed = await followNames(place);
    if (followed.target === null) return followed.path;
    place = placeIn(followed.target, known);
  }
  throw refused(what, "file");
}

async function knownFolder(folder: string): Promise<Folder | null> {
  const given = resolve(folder);
  try {
    return { given, real: await realpath(given) };
  } catch (error) {
    // One that is not there holds nothing.
    if (["ENOENT", "ENOTDIR"].includes((error as NodeJS.ErrnoException).code ?? "")) return null;
    throw error;
  }
}

interface Place {
  /** Without links. */
  readonly folder: string;
  readonly names: readonly string[];
}

/** Where a path stands below one of the folders, by its letters alone. */
function placeIn(path: string, folders: readonly (Folder | null)[]): Place | null {
  for (const folder of folders) {
    for (const start of folder ? [folder.given, folder.real] : []) {
      const names = namesBelow(path, start);
      if (folder && names) return { folder: folder.real, names };
    }
  }
  return null;
}

function namesBelow(path: string, folder: string): readonly string[] | null {
  const below = relative(folder, path);
  if (below === "") return [];
  const names = below.split(sep);
  // On another drive the relative path is an absolute one.
  return names[0] === ".." || resolve(folder, below) === below ? null : names;
}

/** The path without links, or where its first link leads. */
async function followNames({ folder, names }: Place): Promise<{ path: string; target: string | null }> {
  let path = folder;
  for (const [index, name] of names.entries()) {
    const next = join(path, name);
    if ((await lstat(next)).isSymbolicLink()) {
      return { path, target: resolve(path, await readlink(next), ...names.slice(index + 1)) };
    }
    path = next;
  }
  return { path, target: null };
}

/** Links may have been put in the path between the look and the opening: where the open file is says the system. */
async function isStillAllowed(handle: FileHandle, path: string, { rule }: Reading): Promise<boolean> {
  const open = await readlink(`/proc/self/fd/${handle.fd}`).catch(() => null);
  if (open !== null) {
    if (rule.type !== "list") return open === path;
    const folders = await Promise.all(rule.folders.map(knownFolder));
    return folders.some((folder) => folder !== null && namesBelow(open, folder.real) !== null);
  }
  const [now, found, opened] = await Promise.all([
    realpath(path),
    lstat(path, { bigint: true }),
    handle.stat({ bigint: true }),
  ]);
  return now === path && found.dev === opened.dev && found.ino === opened.ino;
}
