/** Which documents a command is given, and what their outputs are called. */
import { createHash } from "node:crypto";
import { readdir, stat } from "node:fs/promises";
import { basename, dirname, extname, join, relative, resolve, sep } from "node:path";
import { GlimtError } from "../../errors.ts";
import { isPath } from "../../media/sources/address.ts";
import { unreadableReason } from "../unreadable-reason.ts";

export interface DocumentFile {
  /** A path or an address. */
  readonly source: string;
  /** Its place in the output folder, without an extension: "scans/page". Its parts can be parts of files' names. */
  readonly name: string;
}

/** Of a name's last part, in UTF-8: most systems take 255, of which extensions and numbers of cut out pictures need some. */
const LONGEST_NAME = 200;

const DOCUMENT = /\.(pdf|png|jpe?g|webp|gif|tiff?|bmp)$/i;

/**
 * Files as they are given; of folders what lies in them and below, sorted by name, but for what is hidden and what the
 * command writes. Links to files are files; those to folders, which may lead in circles, are not followed.
 *
 * @throws INPUT_INVALID
 */
export async function documentFiles(given: readonly string[], out: string): Promise<DocumentFile[]> {
  const found: { source: string; path: string }[] = [];
  for (const source of given) {
    if (!isPath(source)) {
      found.push({ source, path: addressName(source) });
      continue;
    }
    const status = await stat(source).catch(async (cause: NodeJS.ErrnoException) => {
      const reason = await unreadableReason(source, cause, "file or folder");
      throw new GlimtError("INPUT_INVALID", `${source} can not be read: ${reason}.`, { cause });
    });
    if (!status.isDirectory()) found.push({ source, path: basename(source) });
    else
      for (const file of await filesBelow(source, resolve(out)))
        found.push({ source: asPath(join(source, file)), path: file });
  }
  if (found.length === 0) {
    throw new GlimtError("INPUT_INVALID", `There is no PDF and no picture in ${given.join(", ")}.`);
  }
  return withNames(found);
}

/** A file's name may look as an address does: "scan:1.png". */
function asPath(path: string): string {
  return isPath(path) ? path : `.${sep}${path}`;
}

async function filesBelow(folder: string, out: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const named = entries.filter((entry) => DOCUMENT.test(entry.name));
  const found: string[] = [];
  for (const entry of named) {
    const path = join(entry.parentPath ?? entry.path, entry.name);
    if (!entry.isFile() && !(entry.isSymbolicLink() && (await leadsToFile(path)))) continue;
    const place = relative(folder, path);
    const isHidden = place.split(sep).some((part) => part.startsWith("."));
    if (!isHidden && !isBelow(resolve(path), out)) found.push(place);
  }
  return found.sort();
}

/** A link that leads nowhere is named among what can not be read. */
async function leadsToFile(link: string): Promise<boolean> {
  const status = await stat(link).catch(() => null);
  return status === null || status.isFile();
}

function isBelow(path: string, folder: string): boolean {
  return path.startsWith(folder.endsWith(sep) ? folder : folder + sep);
}

function addressName(address: string): string {
  const path = URL.canParse(address) && !/^data:/i.test(address) ? new URL(address).pathname : "";
  return basename(decodedPath(path)) || "document";
}

function decodedPath(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

/** Without their extensions, but for those that would be of one name; those that then still are get a number. */
function withNames(found: readonly { source: string; path: string }[]): DocumentFile[] {
  const whole = (path: string) => join(dirname(path), fileName(basename(path)));
  const stem = (path: string) => join(dirname(path), fileName(basename(path, extname(path))));
  const counts = new Map<string, number>();
  for (const { path } of found) counts.set(stem(path), (counts.get(stem(path)) ?? 0) + 1);
  const taken = new Set<string>();
  return found.map(({ source, path }) => {
    const plain = counts.get(stem(path)) === 1 ? stem(path) : whole(path);
    let name = plain;
    for (let number = 2; taken.has(name); number++) name = `${plain}-${number}`;
    taken.add(name);
    return { source, name };
  });
}

/** What a file may be called on every system, with room behind it; a name that is cut off keeps a mark of its own. */
function fileName(text: string): string {
  // A name of dots alone is a folder's.
  const name = text.replace(/[\\/:*?"<>|]/g, "_").replace(/^\.+$/, "document");
  if (Buffer.byteLength(name) <= LONGEST_NAME) return name;
  const mark = createHash("sha256").update(name).digest("hex").slice(0, 8);
  let begin = name.slice(0, LONGEST_NAME);
  while (Buffer.byteLength(begin) > LONGEST_NAME - mark.length - 1) begin = begin.slice(0, -1);
  return `${begin.replace(/[\ud800-\udbff]$/, "")}~${mark}`;
}
