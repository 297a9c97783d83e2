/** Links that lead nowhere, which systems tell as files that are not there. */
import { readlink } from "node:fs/promises";

/** What is wrong with the path where it is such a link; null for any other that is not there. */
export async function brokenLink(path: string | URL): Promise<string | null> {
  const target = await readlink(path).catch(() => null);
  return target === null ? null : `it is a link to ${target}, which is not there`;
}
