/** Adapters of local folders, for servers whose clients may load some. */
import { realpath } from "node:fs/promises";
import { isAbsolute, relative, resolve, sep } from "node:path";
import { GlimtError } from "../errors.ts";
import { RequestError } from "../protocols/errors.ts";

/**
 * Where an adapter lies by the path that a request gives: absolute, or relative to one of the folders. What leads out of
 * them, also by links, is not told from what is not there.
 */
export function adaptersWithin(folders: readonly string[]): (path: string) => Promise<string> {
  if (folders.length === 0)
    throw new GlimtError("OPTION_INVALID", "adaptersWithin needs at least one folder.");
  return async (path) => {
    for (const folder of folders) {
      const found = await within(folder, path);
      if (found !== null) return found;
    }
    throw new RequestError("notFound", "There is no adapter at lora_path in the folders of this server.", {
      param: "lora_path",
    });
  };
}

async function within(folder: string, path: string): Promise<string | null> {
  try {
    const root = await realpath(folder);
    const found = await realpath(resolve(root, path));
    const inside = relative(root, found);
    const leadsOut = inside.split(sep)[0] === ".." || isAbsolute(inside);
    return inside === "" || leadsOut ? null : found;
  } catch {
    return null;
  }
}
