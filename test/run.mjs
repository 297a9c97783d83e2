/**
 * Runs the tests: `node test/run.mjs [SUBSTRING]...` takes the files under test/ whose path contains one of the
 * substrings, or all. They are bundled in one go; each runs in a process of its own, so that a crash is laid at
 * the right door. The last line is `N passed, N failed`.
 */
import { fork } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";
import { bundleDefaults } from "../build.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const FILE_LIMIT_MS = 180_000;

const filters = process.argv.slice(2);
const files = readdirSync(join(root, "test"), { recursive: true })
  .filter((path) => path.endsWith(".test.ts"))
  .map((path) => `test/${path}`)
  .filter((path) => filters.length === 0 || filters.some((filter) => path.includes(filter)))
  .sort();

const outDir = bundleFolder();
process.on("exit", () => rmSync(outDir, { recursive: true, force: true }));
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(130));

const totals = { passed: 0, failed: 0, skipped: 0 };
if (files.length === 0) {
  console.error(`No test file matches ${filters.join(" ") || "test/**/*.test.ts"}.`);
  totals.failed += 1;
} else {
  await bundle();
  await Promise.all(Array.from({ length: availableParallelism() }, worker));
}
if (totals.skipped > 0) console.log(`${totals.skipped} skipped`);
console.log(`${totals.passed} passed, ${totals.failed} failed`);
process.exit(totals.failed === 0 ? 0 : 1);

function bundleFolder() {
  const parent = join(root, "build/test");
  mkdirSync(parent, { recursive: true });
  return mkdtempSync(join(parent, "run-"));
}

async function bundle() {
  try {
    await esbuild.build({
      ...bundleDefaults,
      platform: "node",
      entryPoints: files,
      outbase: "test",
      outdir: outDir,
      sourcemap: true,
      // Tools that tests use, not code under test.
      external: ["esbuild", "typescript", "playwright-core"],
      // Bundled CommonJS packages ask for built-in modules by `require`.
      banner: {
        js: 'import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);',
      },
    });
  } catch {
    console.error("The tests do not bundle.");
    console.log("0 passed, 1 failed");
    process.exit(1);
  }
}

async function worker() {
  for (let file = files.shift(); file !== undefined; file = files.shift()) {
    const { output, passed, failed, skipped } = await runFile(file);
    process.stdout.write(`${file}\n${output.trimEnd()}\n`);
    totals.passed += passed;
    totals.failed += failed;
    totals.skipped += skipped;
  }
}

/** A file that ends without a report has crashed, and counts as one failure. */
function runFile(file) {
  return new Promise((resolve) => {
    const bundled = join(outDir, file.replace(/^test\//, "").replace(/\.ts$/, ".js"));
    const child = fork(join(root, "test/worker.mjs"), [bundled], {
      cwd: root,
      execArgv: ["--enable-source-maps", "--no-warnings=ExperimentalWarning"],
      env: { ...process.env, FORCE_COLOR: process.stdout.isTTY ? "1" : "0" },
      stdio: ["ignore", "pipe", "pipe", "ipc"],
    });
    const chunks = [];
    child.stdout.on("data", (chunk) => chunks.push(chunk));
    child.stderr.on("data", (chunk) => chunks.push(chunk));
    let report;
    child.on("message", (message) => {
      report = message;
    });
    const limit = setTimeout(() => {
      chunks.push(Buffer.from(`\nstopped after ${FILE_LIMIT_MS / 1000} s\n`));
      child.kill("SIGKILL");
    }, FILE_LIMIT_MS);
    child.on("close", (code, signal) => {
      clearTimeout(limit);
      const output = Buffer.concat(chunks).toString();
      if (report !== undefined) return resolve({ output, ...report });
      resolve({
        output: `${output}\n  crashed (${signal ?? `exit code ${code}`})`,
        passed: 0,
        failed: 1,
        skipped: 0,
      });
    });
  });
}
