/**
 * Asks a small model many things at a time, as strangers do, for as long as it is told:
 *
 *   npm run soak -- [--requests 10000] [--together 16] [--backend wasm] [--memory MIB] [--seed N]
 *
 * Requests are read to their end, aborted, left, forgotten, or are wrong; each that is read must say what it says alone,
 * and in the end nothing is held but what is kept for later. What is not so is printed, and the exit code is 1.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";
import { bundleDefaults } from "../../build.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
mkdirSync(join(root, "build"), { recursive: true });
const outDir = mkdtempSync(join(root, "build/soak-"));
process.on("exit", () => rmSync(outDir, { recursive: true, force: true }));
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(130));

await esbuild.build({
  ...bundleDefaults,
  splitting: false,
  entryPoints: { soak: "test/soak/soak.ts" },
  outdir: outDir,
  sourcemap: true,
});
const flags = ["--enable-source-maps", "--expose-gc", join(outDir, "soak.js"), ...process.argv.slice(2)];
const { status } = spawnSync(process.execPath, flags, { cwd: root, stdio: "inherit" });
process.exit(status ?? 1);
