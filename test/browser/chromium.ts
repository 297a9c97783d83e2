/** An installed Chromium, and how it is started. */
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

export const ARGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export function findChromium(): string | undefined {
  return findProgram(["chromium", "chromium-browser", "google-chrome"], process.env.GLIMT_CHROMIUM);
}

/** The first of these that is on the path. @param asked where it lies, if somebody says so */
export function findProgram(names: readonly string[], asked?: string): string | undefined {
  const folders = (process.env.PATH ?? "").split(delimiter);
  const named = names.flatMap((name) => folders.map((folder) => join(folder, name)));
  return [asked, ...named].find((path) => path !== undefined && isExecutable(path));
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
