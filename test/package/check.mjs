/**
 * Installs the packed npm package into an empty project and uses it as a stranger would:
 * `npm run check:package` (after `npm run build`). The last line is `N passed, N failed`.
 */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";
import * as esbuild from "esbuild";
import { publint } from "publint";
import { formatMessage } from "publint/utils";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const bin = (name) => join(root, "node_modules/.bin", name);
const manifest = JSON.parse(await readFile(join(root, "package.json"), "utf8"));

const PUBLIC_FUNCTIONS = ["loadModel", "mropePositions", "resizeBicubic", "sampleVideoFrames", "smartResize"];
const PUBLISHED = /^(dist\/|docs\/|(README|CHANGELOG|SECURITY)\.md$|LICENSE$|package\.json$)/;

/** Uses the public types under the strictest rules, with no type package beside them. */
const CONSUMER = `
import { GlimtError, loadModel, mropePositions, smartResize } from "glimt";
import { loadModel as loadAtEdge } from "glimt/edge";

export async function read(signal: AbortSignal): Promise<string> {
  const model = await loadModel("model", { signal });
  const [height, width]: readonly number[] = smartResize({
    numFrames: 2, height: 10, width: 10, temporalFactor: 2, factor: 28, minPixels: 1, maxPixels: 1e6,
  });
  let text = String(height! * width!);
  try {
    for await (const piece of model.generate([{ role: "user", content: "?" }], { maxTokens: 4 })) text += piece.text;
    return (await model.complete([{ role: "user", content: text }])).text;
  } catch (error) {
    if (error instanceof GlimtError) return error.code;
    throw error;
  } finally {
    await model.dispose();
  }
}
export const parts = { loadAtEdge, mropePositions };
`;

const totals = { passed: 0, failed: 0 };
const consumer = await mkdtemp(join(tmpdir(), "glimt-consumer-"));
try {
  let tarball;
  await check("npm pack", async () => {
    tarball = await pack();
  });
  if (tarball !== undefined) {
    await checkTarball(tarball);
    const { checkConsumers } = await consumers();
    await checkConsumers(tarball, check);
  }
} finally {
  await rm(consumer, { recursive: true, force: true });
}
console.log(`${totals.passed} passed, ${totals.failed} failed`);
process.exitCode = totals.failed === 0 ? 0 : 1;

/** TypeScript, which Node 20 does not read itself. */
async function consumers() {
  const outfile = join(root, "build/test/consumers.mjs");
  await esbuild.build({
    absWorkingDir: root,
    entryPoints: ["test/package/consumers.ts"],
    bundle: true,
    platform: "node",
    format: "esm",
    packages: "external",
    outfile,
  });
  return import(pathToFileURL(outfile).href);
}

/** @returns the path of the tarball; only what is meant to be published is in it. */
async function pack() {
  const { stdout } = await run(
    "npm",
    ["pack", "--json", "--ignore-scripts", "--pack-destination", consumer],
    root,
  );
  const report = JSON.parse(stdout);
  const [{ filename, files, size }] = Array.isArray(report) ? report : Object.values(report);
  const strays = files.map(({ path }) => path).filter((path) => !PUBLISHED.test(path));
  if (strays.length > 0) throw new Error(`not meant to be published: ${strays.join(", ")}`);
  console.log(`     ${files.length} files, ${(size / 1024).toFixed(0)} KiB packed`);
  return join(consumer, filename);
}

async function checkTarball(tarball) {
  await check("installs offline, with no dependency", async () => {
    await write("package.json", JSON.stringify({ name: "consumer", private: true, type: "module" }));
    await run("npm", ["install", "--offline", "--no-audit", "--no-fund", "--no-package-lock", tarball]);
    const dependencies = Object.keys(manifest.dependencies ?? {});
    if (dependencies.length > 0) throw new Error(`depends on ${dependencies.join(", ")}`);
  });
  for (const entry of ["glimt", "glimt/cuda", "glimt/edge"]) {
    await check(`import "${entry}" in Node`, async () => {
      const wanted = JSON.stringify(PUBLIC_FUNCTIONS);
      await write(
        "import.mjs",
        `const m = await import("${entry}");
         const missing = ${wanted}.filter((name) => typeof m[name] !== "function");
         if (missing.length > 0) throw new Error("no function " + missing.join(", "));`,
      );
      await run(process.execPath, ["import.mjs"]);
    });
  }
  await check("glimt --version", async () => {
    const { stdout } = await run(join(consumer, "node_modules/.bin/glimt"), ["--version"]);
    if (stdout.trim() !== manifest.version) throw new Error(`printed ${JSON.stringify(stdout)}`);
  });
  for (const [moduleResolution, module] of [
    ["nodenext", "nodenext"],
    ["bundler", "esnext"],
  ]) {
    await check(`types under moduleResolution ${moduleResolution}`, async () => {
      const compilerOptions = {
        module,
        moduleResolution,
        target: "es2022",
        lib: ["es2023", "dom", "dom.iterable", "dom.asynciterable"],
        types: [],
        strict: true,
        exactOptionalPropertyTypes: true,
        noUncheckedIndexedAccess: true,
        skipLibCheck: false,
        noEmit: true,
      };
      await write("consumer.ts", CONSUMER);
      const examples = await readmeExamples();
      const files = ["consumer.ts"];
      for (const [index, example] of examples.entries()) {
        files.push(`readme-${index}.ts`);
        await write(files.at(-1), example);
      }
      await write("tsconfig.json", JSON.stringify({ compilerOptions, files }));
      await run(bin("tsc"), ["-p", "tsconfig.json"]);
    });
  }
  await check("links of the README and the docs lead to files of the package", async () => {
    const folder = join(consumer, "node_modules/glimt");
    const pages = ["README.md", ...(await readdir(join(folder, "docs"))).map((name) => `docs/${name}`)];
    const broken = [];
    for (const page of pages) {
      const text = await readFile(join(folder, page), "utf8");
      for (const [, link] of text.matchAll(/\]\((?!https?:)([^)#]+)/g)) {
        if (!existsSync(join(folder, dirname(page), link))) broken.push(`${page}: ${link}`);
      }
    }
    if (broken.length > 0) throw new Error(broken.join("\n"));
  });
  await check("publint", async () => {
    const { messages } = await publint({
      pkgDir: join(consumer, "node_modules/glimt"),
      pack: false,
      strict: true,
    });
    if (messages.length > 0)
      throw new Error(messages.map((message) => formatMessage(message, manifest)).join("\n"));
  });
  await check("are the types wrong?", () =>
    run(bin("attw"), [
      tarball,
      "--profile",
      "esm-only",
      "--no-definitely-typed",
      "--no-emoji",
      "--exclude-entrypoints",
      "./worker",
      "./kernel-worker",
    ]),
  );
}

/** The TypeScript of the README, block by block. */
async function readmeExamples() {
  const text = await readFile(join(root, "README.md"), "utf8");
  const examples = [...text.matchAll(/^```ts\n([\s\S]*?)^```$/gm)].map(([, code]) => code);
  if (examples.length === 0) throw new Error("README.md has no example in TypeScript");
  return examples;
}

async function check(name, task) {
  try {
    await task();
    totals.passed += 1;
    console.log(`ok   ${name}`);
  } catch (error) {
    totals.failed += 1;
    console.log(`FAIL ${name}\n${[error.message, error.stdout, error.stderr].filter(Boolean).join("\n")}`);
  }
}

function run(command, args, cwd = consumer) {
  return promisify(execFile)(command, args, { cwd, maxBuffer: 1 << 26 });
}

function write(name, text) {
  return writeFile(join(consumer, name), text);
}
