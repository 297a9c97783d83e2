/** Locations that name a GGUF file: its folder, and the file in it. */
import type { CheckpointFiles } from "../files.ts";
import { isAddress, type ModelLocation, type OpenFilesOptions } from "../location.ts";

/** @param openFolder what opens a folder, wherever it is. @throws what it does */
export async function openModelFiles(
  location: ModelLocation,
  { mmproj, ...options }: OpenFilesOptions,
  openFolder: (location: ModelLocation, options: OpenFilesOptions) => Promise<CheckpointFiles>,
): Promise<CheckpointFiles> {
  const found = isAddress(location) ? ggufLocation(location) : null;
  const files = await openFolder(found ? found.folder : location, options);
  const tower = mmproj === undefined ? undefined : await openModelFiles(mmproj, options, openFolder);
  return found || tower ? withNamed(files, found?.file, tower) : files;
}

/** Null for everything else. An address keeps its query (a signature). */
export function ggufLocation(
  location: string | URL,
): { readonly folder: string; readonly file: string } | null {
  const text = String(location);
  const isAddress = /^[a-z][a-z\d+.-]+:\/\//i.test(text);
  const [, folder = "", file, query = ""] =
    (isAddress
      ? /^([^?#]*\/)([^/?#]+\.gguf)(\?[^#]*)?$/i.exec(text)
      : /^(.*[\\/])?([^\\/]+\.gguf)$/i.exec(text)) ?? [];
  if (file === undefined) return null;
  return { folder: (folder || ".") + query, file: isAddress ? decodeURIComponent(file) : file };
}

/** The files of a folder, of which one is meant, and the vision tower that was given with it. */
function withNamed(
  files: CheckpointFiles,
  named: string | undefined,
  mmproj: CheckpointFiles | undefined,
): CheckpointFiles {
  return {
    location: files.location,
    named,
    mmproj,
    list: async () => (await files.list?.()) ?? [],
    size: (name, signal) => files.size(name, signal),
    readAll: (name, signal) => files.readAll(name, signal),
    readInto: (name, offset, into, signal) => files.readInto(name, offset, into, signal),
    absence: (name) => files.absence?.(name) ?? null,
  };
}
