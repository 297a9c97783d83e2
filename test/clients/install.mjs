/** The packages of test/clients/package.json. */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { installPackages } from "../install-packages.mjs";

const folder = dirname(fileURLToPath(import.meta.url));

export const clientsFolder = join(folder, "node_modules");
export const clientNames = Object.keys(
  JSON.parse(readFileSync(join(folder, "package.json"), "utf8")).dependencies,
);

/** @returns why they can not be had; undefined when they are there */
export function installClients() {
  return installPackages(folder);
}
