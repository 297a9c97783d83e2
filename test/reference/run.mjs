/**
 * The reference of the API: `npm run reference` makes pages of the comments of all that the package exports, in
 * build/reference. It fails where an exported thing or a member of one has no comment, or names a type that is not exported.
 */
import { spawnSync } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { installPackages } from "../install-packages.mjs";

const folder = dirname(fileURLToPath(import.meta.url));
const missing = installPackages(folder);
if (missing !== undefined) {
  console.error(`The packages of test/reference/package.json can not be installed: ${missing}`);
  process.exit(1);
}
const typedoc = join(folder, "node_modules/typedoc/bin/typedoc");
const options = ["--options", join(folder, "typedoc.jsonc"), ...process.argv.slice(2)];
process.exit(spawnSync(process.execPath, [typedoc, ...options], { stdio: "inherit" }).status ?? 1);
