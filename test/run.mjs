/**
 * Runs the tests: `node test/run.mjs [SUBSTRING]...` takes the files under test/ whose path contains one of the
 * substrings, or all. They are bundled in one go; each runs in a process of its own, so that a crash is laid at
 * the right door. The last line is `N passed, N failed`.
 */
import { fork } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";
import { buildAddon, missingTool } from "../bindings/build.mjs";
import { bundleAll, bundleDefaults } from "../build.mjs";
import { clientNames, clientsFolder, installClients } from "./clients/install.mjs";
import { installPackages } from "./install-packages.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
/** Without a sign of life; each test that ends is one. Many times what the longest takes: only what hangs gets there. */
const SILENCE_LIMIT_MS = 900_000;
/** From its report to the end of a test's process. */
const EXIT_LIMIT_MS = 30_000;

const filters = process.argv.slice(2);
const files = readdirSync(join(root, "test"), { recursive: true })
  .filter((path) => path.endsWith(".test.ts") && !path.includes("node_modules"))
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
}
const queue = await ready(files);
totals.failed += files.length - queue.length - totals.skipped;
// Those that compute on the emulator take longest: begun first, none of them runs alone at the end.
queue.sort((a, b) => Number(usesAddon(b)) - Number(usesAddon(a)));
await Promise.all(Array.from({ length: availableParallelism() }, worker));
if (totals.skipped > 0) console.log(`${totals.skipped} skipped`);
console.log(`${totals.passed} passed, ${totals.failed} failed`);
process.exit(totals.failed === 0 ? 0 : 1);

function bundleFolder() {
  const parent = join(root, "build/test");
  mkdirSync(parent, { recursive: true });
  const folder = mkdtempSync(join(parent, "run-"));
  // What bundles import of the clients is found there.
  symlinkSync(clientsFolder, join(folder, "node_modules"));
  return folder;
}

/** @returns the files that can run: those that bundle, and whose built package does if they use it. */
async function ready(candidates) {
  const bundled = (await bundles(candidates))
    ? candidates
    : // Not all of them do: leave out those that do not by themselves.
      (await Promise.all(candidates.map(async (file) => ((await bundles([file])) ? [file] : [])))).flat();
  const withPackage = await unlessBroken(bundled, usesBuiltPackage, packageBuilds);
  const withClients = await unlessBroken(withPackage, usesClients, clientsInstalled);
  const withReference = await unlessBroken(withClients, usesReference, referenceInstalled);
  return unlessBroken(withReference, usesAddon, addonBuilds);
}

/** @returns the files without those that use something that does not build. */
async function unlessBroken(candidates, uses, builds) {
  const users = candidates.filter(uses);
  if (users.length === 0 || (await builds(users))) return candidates;
  return candidates.filter((file) => !uses(file));
}

async function bundles(entryPoints) {
  // What is wrong with many is said file by file.
  const logLevel = entryPoints.length > 1 ? "silent" : "error";
  try {
    await esbuild.build({
      ...bundleDefaults,
      logLevel,
      entryPoints,
      outbase: "test",
      outdir: outDir,
      sourcemap: true,
      // Tools that tests use, not code under test.
      external: ["esbuild", "typescript", "playwright-core", ...clientNames],
    });
    return true;
  } catch {
    if (logLevel === "error") console.error(`${entryPoints[0]} does not bundle.`);
    return false;
  }
}

/** The built package as seen by its tests is the one that would be published now. */
async function packageBuilds() {
  try {
    await bundleAll();
    return true;
  } catch {
    console.error("The package does not build, so its tests can not run.");
    return false;
  }
}

function usesBuiltPackage(file) {
  // The command's tests start it by what they share.
  return /\bdist\b|\/command\.ts/.test(readFileSync(join(root, file), "utf8"));
}

function usesClients(file) {
  return file.startsWith("test/clients/");
}

function usesReference(file) {
  return file.startsWith("test/reference/");
}

/** Clients of others come from the registry. Where it does not answer their tests are skipped. */
async function clientsInstalled(users) {
  return installed(users, installClients());
}

/** What makes the reference too. */
async function referenceInstalled(users) {
  return installed(users, installPackages(join(root, "test/reference")));
}

function installed(users, missing) {
  if (missing === undefined) return true;
  console.log(`Skipped ${users.join(", ")}: their packages can not be installed: ${missing}`);
  totals.skipped += users.length;
  return false;
}

/** The native addon on the emulator, for tests of the CUDA backend. Without its tools they are skipped. */
async function addonBuilds(users) {
  const missing = await missingTool("emulator");
  if (missing !== undefined) {
    console.log(`Skipped ${users.join(", ")}: ${missing}`);
    totals.skipped += users.length;
    return false;
  }
  try {
    await buildAddon("emulator");
    return true;
  } catch (error) {
    console.error(`The native addon does not build (${error.message}), so its tests can not run.`);
    return false;
  }
}

function usesAddon(file) {
  return (
    file.startsWith("test/bindings/") || /\bbindings\/emulator\b/.test(readFileSync(join(root, file), "utf8"))
  );
}

async function worker() {
  for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
    const start = performance.now();
    const { output, passed, failed, skipped } = await runFile(file);
    const seconds = ((performance.now() - start) / 1000).toFixed(1);
    process.stdout.write(`${file} (${seconds} s)\n${output.trimEnd()}\n`);
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
    const hear = (chunk) => {
      chunks.push(chunk);
      limit.refresh();
    };
    child.stdout.on("data", hear);
    child.stderr.on("data", hear);
    let report;
    child.on("message", (message) => {
      report = message;
      // Node 24 may wait for a compilation at its exit that waits for the main thread.
      setTimeout(() => child.kill("SIGKILL"), EXIT_LIMIT_MS).unref();
    });
    const limit = setTimeout(() => {
      chunks.push(Buffer.from(`\nstopped: nothing happened for ${SILENCE_LIMIT_MS / 1000} s\n`));
      child.kill("SIGKILL");
    }, SILENCE_LIMIT_MS);
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
