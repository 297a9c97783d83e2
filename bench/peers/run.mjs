/**
 * `node bench/peers/run.mjs --help`: bundles glimt and the comparison from source, and runs it; or with --install installs
 * the peers; or with --gguf asks llama.cpp about the GGUF files of the tests (judge.ts).
 */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";
import { bundleDefaults } from "../../build.mjs";

const folder = dirname(fileURLToPath(import.meta.url));
const root = join(folder, "../..");
const args = process.argv.slice(2);

if (args.includes("--install")) {
  install();
  process.exit();
}

mkdirSync(join(root, "build/bench"), { recursive: true });
const outDir = mkdtempSync(join(root, "build/bench/peers-"));
process.on("exit", () => rmSync(outDir, { recursive: true, force: true }));
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(130));

await esbuild.build({
  ...bundleDefaults,
  entryPoints: ["main", "glimt", "kernels", "judge"].map((name) => `bench/peers/${name}.ts`),
  outdir: outDir,
  sourcemap: true,
});
const { status } = spawnSync(
  process.execPath,
  [
    "--enable-source-maps",
    join(outDir, args.includes("--gguf") ? "judge.js" : "main.js"),
    "--bundles",
    outDir,
    ...args,
  ],
  { cwd: root, stdio: "inherit" },
);
process.exit(status ?? 1);

/** Without install scripts, which would download or build, and without the builds of llama.cpp for other machines. */
function install() {
  const { dependencies } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const version = dependencies["node-llama-cpp"];
  const builds = {
    darwin: { arm64: "mac-arm64-metal", x64: "mac-x64" },
    win32: { arm64: "win-arm64", x64: "win-x64" },
  };
  const build = builds[process.platform]?.[process.arch] ?? `${process.platform}-${process.arch}`;
  const flags = ["--ignore-scripts", "--no-package-lock", "--omit=optional", "--no-audit", "--no-fund"];
  const npm = process.platform === "win32" ? "npm.cmd" : "npm";
  const options = { cwd: folder, stdio: "inherit", shell: process.platform === "win32" };
  execFileSync(npm, ["install", ...flags], options);
  execFileSync(npm, ["install", ...flags, "--no-save", `@node-llama-cpp/${build}@${version}`], options);
}
