/** Locations that name a GGUF file: its folder, and the file in it. */
import { percentDecoded } from "../../http/percent.ts";
import type { CheckpointFiles } from "../files.ts";
import { checkedHeaders } from "../http-requests.ts";
import { readHubOptions } from "../hub/options.ts";
import { isAddress, type ModelLocation, type OpenFilesOptions } from "../location.ts";

type Open<T> = (location: ModelLocation, options: OpenFilesOptions) => Promise<T>;

/**
 * @param openFolder what opens a folder, wherever it is
 * @param openHub what opens a model of the Hub, and gives null for other places
 * @throws what they do
 */
export async function openModelFiles(
  location: ModelLocation,
  { mmproj, ...options }: OpenFilesOptions,
  openFolder: Open<CheckpointFiles>,
  openHub: Open<CheckpointFiles | null>,
): Promise<CheckpointFiles> {
  // Where a folder has no use for them too: a name that is misspelt is told before the location changes.
  readHubOptions(options.hub);
  // Hosts without HTTP have no Headers.
  if (options.headers !== undefined) checkedHeaders(options.headers);
  const model = isAddress(location) ? await openHub(location, options) : null;
  const found = isAddress(location) && !model ? ggufLocation(location) : null;
  const files = model ?? (await openFolder(found ? found.folder : location, options));
  const tower = mmproj === undefined ? undefined : await openModelFiles(mmproj, options, openFolder, openHub);
  return found || tower ? withNamed(files, found?.file ?? files.named, tower) : files;
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
  return { folder: (folder || ".") + query, file: isAddress ? percentDecoded(file) : file };
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
    async bring(names, signal) {
      if (!mmproj) return files.bring?.(names, signal);
      for (const name of names) {
        const from = mmproj && (await files.size(name, signal)) === null ? mmproj : files;
        await from.bring?.([name], signal);
      }
    },
    expectReads(reads, signal) {
      // Of a tower that was given as Blobs there is nothing to fetch, and its files are not this folder's.
      const own = mmproj ? reads.filter(({ file }) => file === named) : reads;
      files.expectReads?.(own, signal);
      const towers = reads.filter(({ file }) => file === mmproj?.named && file !== named);
      mmproj?.expectReads?.(towers, signal);
    },
  };
}
