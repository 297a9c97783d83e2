/** A checkpoint the user picked in a browser, or built in memory: files by name. */
import { GlimtError, throwIfAborted } from "../errors.ts";
import { type CheckpointFiles, truncated } from "./files.ts";

/** A Blob hands out copies, so large reads go piece by piece. */
const PIECE = 8 << 20;

/** `blobs` by file name. A directory picker's File list goes by each file's own name. */
export function blobFiles(
  blobs: ReadonlyMap<string, Blob> | Iterable<File>,
  location = "the given files",
): CheckpointFiles {
  if (typeof (blobs as Iterable<File> | undefined)?.[Symbol.iterator] !== "function") {
    throw new GlimtError(
      "OPTION_INVALID",
      "A checkpoint is given as a path, an address, or its files: a list of File or a Map of Blobs by name.",
    );
  }
  const byName = new Map<string, Blob>();
  for (const entry of blobs) {
    if (Array.isArray(entry)) byName.set(entry[0], entry[1]);
    else byName.set((entry as File).name, entry as File);
  }
  return {
    location,
    size: async (name) => byName.get(name)?.size ?? null,
    async readAll(name, signal) {
      throwIfAborted(signal);
      const blob = byName.get(name);
      return blob ? new Uint8Array(await blob.arrayBuffer()) : null;
    },
    async readInto(name, offset, into, signal) {
      const blob = byName.get(name);
      if (!blob || offset + into.length > blob.size) throw truncated(location, name, offset, into.length);
      for (let done = 0; done < into.length; done += PIECE) {
        throwIfAborted(signal);
        const end = Math.min(done + PIECE, into.length);
        into.set(new Uint8Array(await blob.slice(offset + done, offset + end).arrayBuffer()), done);
      }
    },
  };
}
