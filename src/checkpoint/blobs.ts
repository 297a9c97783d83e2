/** A checkpoint the user picked in a browser, or built in memory: files by name. */
import { GlimtError, throwIfAborted } from "../errors.ts";
import { readOnce, shown } from "../given.ts";
import { fileError } from "./file-errors.ts";
import { type CheckpointFiles, truncated } from "./files.ts";
import { shownName } from "./shown.ts";
import { checkSmall } from "./small-files.ts";

/** A Blob hands out copies, so large reads go piece by piece. */
const PIECE = 8 << 20;

/** `blobs` by file name. A directory picker's File list goes by each file's own name. @throws OPTION_INVALID */
export function blobFiles(
  blobs: ReadonlyMap<string, Blob> | Iterable<File>,
  location = "the given files",
): CheckpointFiles {
  const byName = readOnce("The location", () => blobsByName(blobs), "OPTION_INVALID");
  const bytes = async (name: string, blob: Blob) => {
    try {
      return new Uint8Array(await blob.arrayBuffer());
    } catch (error) {
      // A picked file that was changed or removed meanwhile.
      throw fileError(`${name} of ${location}`, error);
    }
  };
  return {
    location,
    list: async () => [...byName.keys()],
    size: async (name) => byName.get(name)?.size ?? null,
    async readAll(name, signal) {
      throwIfAborted(signal);
      const blob = byName.get(name);
      if (!blob) return null;
      checkSmall(location, name, blob.size);
      return bytes(name, blob);
    },
    async readInto(name, offset, into, signal) {
      const blob = byName.get(name);
      if (!blob || offset + into.length > blob.size) throw truncated(location, name, offset, into.length);
      for (let done = 0; done < into.length; done += PIECE) {
        throwIfAborted(signal);
        const end = Math.min(done + PIECE, into.length);
        into.set(await bytes(name, blob.slice(offset + done, offset + end)), done);
      }
    },
  };
}

function blobsByName(blobs: ReadonlyMap<string, Blob> | Iterable<File>): Map<string, Blob> {
  if (
    typeof blobs !== "object" ||
    typeof (blobs as Iterable<File> | null)?.[Symbol.iterator] !== "function"
  ) {
    throw new GlimtError(
      "OPTION_INVALID",
      "A checkpoint is given as a path, an address, or its files: a list of File or a Map of Blobs by name.",
    );
  }
  const byName = new Map<string, { blob: Blob; depth: number }>();
  for (const entry of blobs as Iterable<unknown>) {
    const [name, blob] = Array.isArray(entry) ? entry : [(entry as File | null)?.name, entry];
    if (typeof name !== "string" || !(blob instanceof Blob)) {
      throw new GlimtError(
        "OPTION_INVALID",
        `A checkpoint's files are Blobs by name, or Files; found ${describe(entry)}.`,
      );
    }
    const depth = depthOf(blob);
    const other = byName.get(name);
    if (other?.depth === depth) {
      throw new GlimtError(
        "OPTION_INVALID",
        `Two of the given files are called ${shownName(name)}: give those of one directory.`,
      );
    }
    if (!other || depth < other.depth) byName.set(name, { blob, depth });
  }
  return new Map([...byName].map(([name, { blob }]) => [name, blob]));
}

/** A directory picker lists the files of inner directories too; the checkpoint is the outermost. */
function depthOf(blob: Blob): number {
  return ((blob as { webkitRelativePath?: string }).webkitRelativePath ?? "").split("/").length;
}

function describe(entry: unknown): string {
  return Array.isArray(entry) ? `${shown(entry[1])} by the name of ${shown(entry[0])}` : shown(entry);
}
