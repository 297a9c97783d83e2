/**
 * Runs the benchmarks: `node bench/run.mjs [SUBSTRING]... [--OPTION VALUE]...` takes the files under bench/ named
 * *.bench.ts whose path contains one of the substrings; without any, all but *.long.bench.ts, which take minutes.
 * Each is a script that prints its own tables; they run one after the other, each in a process of its own, under the
 * Node that runs this file, and are given the options. With --help, what each measures and takes.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { cpus } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";
import { bundleDefaults } from "../build.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");

const args = process.argv.slice(2);
const firstOption = args.findIndex((arg) => arg.startsWith("-"));
const filters = firstOption < 0 ? args : args.slice(0, firstOption);
const options = args.slice(filters.length);
const asksForHelp = options.some((option) => option === "--help" || option === "-h");
const files = readdirSync(join(root, "bench"), { recursive: true })
  .filter((path) => path.endsWith(".bench.ts"))
  .map((path) => `bench/${path}`)
  .filter((path) => {
    return filters.length === 0
      ? asksForHelp || !path.endsWith(".long.bench.ts")
      : filters.some((filter) => path.includes(filter));
  })
  .sort();

if (files.length === 0) {
  console.error(`No benchmark matches ${filters.join(" ") || "bench/**/*.bench.ts"}.`);
  process.exit(1);
}

if (asksForHelp) {
  console.log("npm run bench -- [WORD]... [--OPTION VALUE]...\n");
  console.log("Runs the benchmarks whose path has one of the words; without any, all but *.long.bench.ts.");
  for (const file of files) console.log(`\n${file}\n${opening(file)}`);
  process.exit(0);
}

mkdirSync(join(root, "build/bench"), { recursive: true });
const outDir = mkdtempSync(join(root, "build/bench/run-"));
process.on("exit", () => rmSync(outDir, { recursive: true, force: true }));
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(130));

await esbuild.build({
  ...bundleDefaults,
  entryPoints: files,
  outbase: "bench",
  outdir: outDir,
  sourcemap: true,
});

console.log(`Node ${process.version}, ${cpus().length} x ${cpus()[0]?.model.trim() ?? "unknown CPU"}`);
let failed = 0;
for (const file of files) {
  console.log(`\n${file}`);
  const bundled = join(outDir, file.replace(/^bench\//, "").replace(/\.ts$/, ".js"));
  const { status } = spawnSync(
    process.execPath,
    [...process.execArgv, "--enable-source-maps", "--expose-gc", bundled, ...options],
    {
      cwd: root,
      stdio: "inherit",
    },
  );
  if (status !== 0) failed += 1;
}
process.exit(failed === 0 ? 0 : 1);

/** The comment that a file opens with. */
function opening(file) {
  const [, comment = ""] = /^\/\*\*(.*?)\*\//s.exec(readFileSync(join(root, file), "utf8")) ?? [];
  return comment
    .trim()
    .replaceAll(/^ ?\* ?/gm, "  ")
    .replace(/^(?=\S)/, "  ");
}
