/**
 * Installs the packed npm package into an empty project and uses it as a stranger would:
 * `npm run check:package` (after `npm run build`). The last line is `N passed, N failed`.
 *
 *   --matrix        write the README's table of runtimes when all of them passed
 *   --only WORD     only the runtimes' and bundlers' checks whose names have the word
 */
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs, promisify } from "node:util";
import { gzipSync } from "node:zlib";
import * as esbuild from "esbuild";
import { publint } from "publint";
import { formatMessage } from "publint/utils";
import { MODULES } from "../../wasm/kernels/build.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const bin = (name) => join(root, "node_modules/.bin", name);
const manifest = JSON.parse(await readFile(join(root, "package.json"), "utf8"));

const PUBLIC_FUNCTIONS = ["loadModel", "mropePositions", "resizeBicubic", "sampleVideoFrames", "smartResize"];
const PUBLISHED = /^(dist\/|docs\/|(README|CHANGELOG|SECURITY)\.md$|LICENSE$|package\.json$)/;

/** Uses the public types under the strictest rules, with no type package beside them. */
const CONSUMER = `
import { GlimtError, loadModel, mropePositions, smartResize } from "glimt";
import { createGlimt } from "glimt/ai";
import { loadModel as loadAtEdge } from "glimt/edge";
import { createServer, listen, type ServerOptions } from "glimt/server";
import { readDocument } from "glimt/ocr";

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
export async function serve(options: ServerOptions): Promise<string> {
  const server = createServer(await loadModel("model"), options);
  return (await listen(server, { port: 0 })).url;
}
export const parts = { loadAtEdge, readDocument, mropePositions, glimt: createGlimt({ ocr: () => loadModel("model") }) };
`;

/** Bytes. */
const BUDGETS = {
  /** What npm downloads. */
  tarball: 2_500_000,
  /** What a page that imports all of the browser's entry loads at once, minified. */
  edge: 300_000,
  /** `smartResize` alone, as bundlers shake it out of that entry. */
  smartResize: 10_000,
  /** A variant of the kernels' module, and all of them compressed. */
  kernels: 500_000,
  allKernels: 600_000,
};

const { values: wish } = parseArgs({ options: { matrix: { type: "boolean" }, only: { type: "string" } } });
const totals = { passed: 0, failed: 0 };
const consumer = await mkdtemp(join(tmpdir(), "glimt-consumer-"));
try {
  let tarball;
  await check("npm pack", async () => {
    tarball = await pack();
  });
  if (tarball !== undefined) {
    if (wish.only === undefined) {
      await checkTarball(tarball);
      await checkBudgets(tarball);
    }
    const { checkConsumers } = await consumers();
    await checkConsumers(tarball, check, { writesTable: wish.matrix === true, only: wish.only });
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
async function pack(folder = root, published = PUBLISHED) {
  const { stdout } = await run(
    "npm",
    ["pack", "--json", "--ignore-scripts", "--pack-destination", consumer],
    folder,
  );
  const report = JSON.parse(stdout);
  const [{ filename, files, size }] = Array.isArray(report) ? report : Object.values(report);
  const strays = files.map(({ path }) => path).filter((path) => !published.test(path));
  if (strays.length > 0) throw new Error(`not meant to be published: ${strays.join(", ")}`);
  console.log(`     ${files.length} files, ${(size / 1024).toFixed(0)} KiB packed`);
  return join(consumer, filename);
}

async function checkBudgets(tarball) {
  const within = (name, bytes) => {
    console.log(`     ${name}: ${(bytes / 1000).toFixed(1)} kB of ${BUDGETS[name] / 1000}`);
    if (bytes > BUDGETS[name]) throw new Error(`${name}: ${bytes} bytes, more than ${BUDGETS[name]}`);
  };
  await check("the package is within its budget", async () => {
    within("tarball", (await stat(tarball)).size);
  });
  await check("what a page loads at once is within its budget", async () => {
    within("edge", await loadedAtOnce('import * as glimt from "glimt/edge"; globalThis.glimt = glimt;'));
  });
  await check("what shakes out of the browser's entry is small", async () => {
    const script = 'import { smartResize } from "glimt/edge"; globalThis.resize = smartResize;';
    // In one file: in chunks it lies beside what the others have in common.
    within("smartResize", await loadedAtOnce(script, false));
  });
  await check("the kernels are within their budget", async () => {
    const folder = join(root, "build/wasm");
    const names = Object.keys(MODULES).filter((name) => !name.endsWith(".test.wasm"));
    const modules = await Promise.all(names.map((name) => readFile(join(folder, name))));
    within("kernels", Math.max(...modules.map(({ length }) => length)));
    const packed = modules.map((bytes) => gzipSync(bytes, { level: 9 }).length);
    within(
      "allKernels",
      packed.reduce((sum, bytes) => sum + bytes, 0),
    );
  });
}

/** Bytes of a script and of all that it imports statically, bundled and minified. */
async function loadedAtOnce(contents, splitting = true) {
  const { metafile } = await esbuild.build({
    absWorkingDir: consumer,
    stdin: { contents, resolveDir: consumer },
    bundle: true,
    splitting,
    format: "esm",
    minify: true,
    outdir: "budget",
    write: false,
    metafile: true,
  });
  const { outputs } = metafile;
  const seen = new Set();
  const visit = (path) => {
    if (seen.has(path)) return;
    seen.add(path);
    for (const { kind, path: imported } of outputs[path].imports) {
      if (kind === "import-statement") visit(imported);
    }
  };
  visit(Object.keys(outputs).find((path) => outputs[path].entryPoint === "<stdin>"));
  return [...seen].reduce((sum, path) => sum + outputs[path].bytes, 0);
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
  await check('import "glimt/server" in Node', async () => {
    await write(
      "import-server.mjs",
      `const { createServer, listen } = await import("glimt/server");
       if (typeof createServer !== "function" || typeof listen !== "function") throw new Error("no functions");`,
    );
    await run(process.execPath, ["import-server.mjs"]);
  });
  await check("an error that nobody catches is printed, not the file that threw it", async () => {
    await write("uncaught.mjs", 'import { loadModel } from "glimt"; await loadModel("./nowhere");');
    const printed = await run(process.execPath, ["uncaught.mjs"]).then(
      () => "nothing: it went on",
      ({ stderr }) => stderr,
    );
    if (!printed.includes("GlimtError: ./nowhere is not there") || printed.length > 5000)
      throw new Error(`printed ${printed.length} characters: ${printed.slice(0, 300)} …`);
  });
  await check("glimt --version", async () => {
    const { stdout } = await run(join(consumer, "node_modules/.bin/glimt"), ["--version"]);
    if (stdout.trim() !== manifest.version) throw new Error(`printed ${JSON.stringify(stdout)}`);
  });
  await check("glimt demo reads a picture with @glimt/demo, and names it where it is missing", async () => {
    const glimt = join(consumer, "node_modules/.bin/glimt");
    const without = await run(glimt, ["demo"]).then(
      () => "it answered",
      (error) => error.stderr,
    );
    if (!/npm i @glimt\/demo/.test(without)) throw new Error(`without the package: ${without}`);
    const demo = await pack(
      join(root, "examples/demo"),
      /^(checkpoint|pictures)\/|^(README\.md|LICENSE|package\.json)$/,
    );
    await run("npm", ["install", "--offline", "--no-audit", "--no-fund", "--no-package-lock", demo]);
    const { stdout } = await run(glimt, ["demo"]);
    if (stdout !== "Hello world\n") throw new Error(`printed ${JSON.stringify(stdout)}`);
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
  await check("publint", async () => {
    const { messages } = await publint({
      pkgDir: join(consumer, "node_modules/glimt"),
      pack: false,
      strict: true,
    });
    if (messages.length > 0)
      throw new Error(messages.map((message) => formatMessage(message, manifest)).join("\n"));
  });
  await check("npm would publish it, and the demo, and warns of nothing", async () => {
    for (const folder of [root, join(root, "examples/demo")]) {
      const { stderr } = await run("npm", ["publish", "--dry-run", "--ignore-scripts"], folder);
      const warnings = stderr
        .split("\n")
        .filter((line) => /^npm warn/i.test(line) && !/logged in/.test(line));
      if (warnings.length > 0) throw new Error(warnings.join("\n"));
    }
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

/** @returns whether it passed */
async function check(name, task) {
  const start = performance.now();
  try {
    await task();
    totals.passed += 1;
    console.log(`ok   ${name} (${((performance.now() - start) / 1000).toFixed(1)} s)`);
    return true;
  } catch (error) {
    totals.failed += 1;
    console.log(`FAIL ${name}\n${[error.message, error.stdout, error.stderr].filter(Boolean).join("\n")}`);
    return false;
  }
}

function run(command, args, cwd = consumer) {
  return promisify(execFile)(command, args, { cwd, maxBuffer: 1 << 26 });
}

function write(name, text) {
  return writeFile(join(consumer, name), text);
}
