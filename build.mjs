/**
 * Builds glimt: `node build.mjs [all | wasm | generate | check-generated]`.
 *
 *   all (default)     generated files, WebAssembly modules, dist/*.js, dist/types, licences
 *   wasm              build/wasm/*.wasm: the variants of the kernels, and the pixel loops
 *   generate          files that are written from the op table and checked in
 *   check-generated   fails when one of them is not what `generate` would write
 */
import { spawnSync } from "node:child_process";
import { chmod, copyFile, mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { isBuiltin } from "node:module";
import { basename, dirname, join, relative, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { deflateSync } from "node:zlib";
import * as esbuild from "esbuild";
import { buildKernels, MODULES as KERNEL_MODULES } from "./wasm/kernels/build.mjs";
import { licences } from "./wasm/licences.mjs";
import { buildPixels } from "./wasm/pixels/build.mjs";

const root = dirname(fileURLToPath(import.meta.url));
const inRoot = (path) => join(root, path);
const wasmDir = inRoot("build/wasm");
const manifest = JSON.parse(await readFile(inRoot("package.json"), "utf8"));
const { version } = manifest;

/** The entries of the package: name in dist, source. They share their chunks, so that each codec is there once. */
const ENTRIES = {
  index: "src/index.ts",
  cuda: "src/cuda.ts",
  edge: "src/edge.ts",
  workerd: "src/workerd.ts",
  "model-worker": "src/model-worker.ts",
  ai: "src/ai/provider.ts",
  server: "src/server.ts",
  "server-node": "src/server-node.ts",
  ocr: "src/ocr.ts",
  "ocr-edge": "src/ocr-edge.ts",
  batch: "src/batch.ts",
  cli: "src/cli/main.ts",
};

/** What a Python of the user's runs: beside the command in dist. */
const PYTHON = { from: "src/cli/verify/python", to: "dist/python" };

/** Scripts that need no other file: name in src and dist. */
const WORKERS = ["worker", "kernel-worker"];

const GENERATED = [
  {
    path: "src/program/cpp/glimt_program.gen.h",
    source: "src/program/header.ts",
    write: (module) => module.programHeader(),
  },
  {
    path: "src/program/cpp/glimt_op_rules.gen.h",
    source: "src/program/op-rules.ts",
    write: (module) => module.opRulesHeader(),
  },
  {
    path: "crates-free-native/kernels/op_entries.gen.h",
    source: "src/program/dispatch.ts",
    write: (module) => module.nativeEntries(),
  },
  {
    path: "wasm/kernels/dispatch.gen.h",
    source: "src/backends/wasm/dispatch.ts",
    write: (module) => module.wasmDispatch(),
  },
];

/** One after another: modules share objects. */
let kernels = Promise.resolve();

const WASM_MODULES = {
  ...Object.fromEntries(
    Object.keys(KERNEL_MODULES).map((name) => [
      name,
      () => {
        kernels = kernels.then(async () => {
          await generate();
          return buildKernels(wasmDir, name);
        });
        return kernels;
      },
    ]),
  ),
  "pixels.wasm": () => buildPixels(wasmDir),
};

/**
 * Builds a module under build/wasm when a bundle first imports it, so that a bundle never holds a stale one. With ?packed it is
 * text: compressed, then in base64, which is a third of what base64 alone is.
 */
const wasmPlugin = {
  name: "wasm-modules",
  setup(build) {
    const started = {};
    build.onResolve({ filter: /\.wasm$/ }, async ({ path, resolveDir }) => {
      const file = resolve(resolveDir, path);
      const name = relative(wasmDir, file);
      if (!(name in WASM_MODULES)) return undefined;
      started[name] ??= WASM_MODULES[name]();
      try {
        await started[name];
        return { path: file };
      } catch (error) {
        return { errors: [{ text: error.message }] };
      }
    });
    build.onResolve({ filter: /\.wasm\?packed$/ }, async ({ path, resolveDir, kind }) => {
      const found = await build.resolve(path.replace(/\?packed$/, ""), { resolveDir, kind });
      return found.errors.length > 0
        ? { errors: found.errors }
        : { path: found.path, namespace: "packed-wasm" };
    });
    build.onLoad({ filter: /.*/, namespace: "packed-wasm" }, async ({ path }) => {
      const bytes = await readFile(path);
      const text = deflateSync(bytes, { level: 9 }).toString("base64");
      return { contents: `export const size = ${bytes.length}; export const text = "${text}";` };
    });
    build.onResolve({ filter: /\.wasm\?module$/ }, async ({ path, resolveDir, kind }) => {
      const found = await build.resolve(path.replace(/\?module$/, ""), { resolveDir, kind });
      if (found.errors.length > 0) return { errors: found.errors };
      modulesBeside.add(found.path);
      return { path: `./${basename(found.path)}`, external: true };
    });
  },
};

/** WebAssembly files that a bundle imports as modules (?module): they belong beside it. */
const modulesBeside = new Set();

/** Lets bundled CommonJS packages `require` modules built into Node, which an ES module has to import. */
const builtinRequirePlugin = {
  name: "builtin-require",
  setup(build) {
    build.onResolve({ filter: /^[a-z0-9_:/]+$/ }, ({ path, kind, namespace }) => {
      if (!isBuiltin(path)) return undefined;
      if (namespace === "builtin-require") return { path, namespace: "builtin-import" };
      return kind === "require-call" ? { path, namespace: "builtin-require" } : { path, external: true };
    });
    build.onLoad({ filter: /.*/, namespace: "builtin-require" }, ({ path }) => ({
      contents: `module.exports = require("${path}").default;`,
    }));
    build.onLoad({ filter: /.*/, namespace: "builtin-import" }, ({ path }) => ({
      contents: `export { default } from "${path}";`,
    }));
  },
};

/** `import text from "./file.ts?text"`: the file and all it needs as one script, for workers that start from text. */
const scriptTextPlugin = {
  name: "script-text",
  setup(build) {
    build.onResolve({ filter: /\?text$/ }, ({ path, resolveDir }) => ({
      path: resolve(resolveDir, path.replace(/\?text$/, "")),
      namespace: "script-text",
    }));
    build.onLoad({ filter: /.*/, namespace: "script-text" }, async ({ path }) => ({
      contents: (await script(path)).text,
      loader: "text",
    }));
  },
};

/** A worker's one script asks its starter for WebAssembly modules: with them it would be several times as large. */
const filesAskedPlugin = {
  name: "files-asked",
  setup(build) {
    build.onLoad({ filter: /backends[\\/]wasm[\\/]kernel-files\.ts$/ }, () => ({
      contents: 'export { askedFile as kernelFile } from "../../workers/asked-files.ts";',
    }));
    build.onLoad({ filter: /media[\\/]codecs[\\/]codec-files\.ts$/ }, () => ({
      contents: 'export { askedFile as codecFile } from "../../workers/asked-files.ts";',
    }));
  },
};

const scripts = new Map();

/** A source file and all it needs as one script: its text, and the files in it. Each is bundled once a process. */
function script(path) {
  const started = scripts.get(path) ?? bundleScript(path);
  scripts.set(path, started);
  return started;
}

async function bundleScript(path) {
  const { outputFiles, metafile } = await esbuild.build({
    ...bundleDefaults,
    plugins: [filesAskedPlugin, ...bundleDefaults.plugins],
    entryPoints: [path],
    splitting: false,
    format: "iife",
    minify: true,
    legalComments: "none",
    write: false,
    metafile: true,
  });
  return { text: foundAtRunTime(outputFiles[0].text), inputs: Object.keys(metafile.inputs) };
}

/** What an expression names is found at run time; minifying drops the comments that keep bundlers from looking for it. */
function foundAtRunTime(text) {
  const comments = "/* webpackIgnore: true */ /* @vite-ignore */ ";
  return text.replace(/(?<![#.\w$])import\((?!\s*["'`/\\])/g, `import(${comments}`);
}

/** A limit of lines breaks strings too; base64 in pieces packs worse. */
function withWholeStrings(text) {
  return text.replace(/\\(.)/gs, (pair, escaped) => (escaped === "\n" ? "" : pair));
}

/**
 * Codecs are given their WebAssembly; code of theirs that never runs names a file beside them, which the bundler of
 * whoever uses glimt would look for, and assigns to import.meta, which some can not read.
 */
const codecFilesPlugin = {
  name: "codec-files",
  setup(build) {
    build.onLoad({ filter: /@jsquash[\\/].*_dec\.js$/ }, async ({ path }) => {
      const text = await readFile(path, "utf8");
      const contents = text
        .replace(/if\(import\.meta\.url===undefined\)\{[^}]*\}/g, "")
        .replace(/new URL\("[^"]*\.wasm",import\.meta\.url\)\.href|import\.meta\.url/g, '""');
      if (/import\.meta|new URL\(/.test(contents)) return { errors: [{ text: `${path} names its place` }] };
      return { contents };
    });
  },
};

/** What every bundle of this repository has in common: the package, its tests and its benchmarks. */
export const bundleDefaults = {
  absWorkingDir: root,
  bundle: true,
  splitting: true,
  format: "esm",
  platform: "neutral",
  mainFields: ["module", "main"],
  target: ["node20", "es2022"],
  loader: { ".wasm": "binary" },
  define: { GLIMT_VERSION: JSON.stringify(version) },
  plugins: [wasmPlugin, codecFilesPlugin, builtinRequirePlugin, scriptTextPlugin],
  logLevel: "warning",
};

/** Writes dist/*.js, their chunks, the workers, the scripts for Python and the licences. */
export async function bundleAll() {
  const { outputFiles, metafile } = await esbuild.build({
    ...bundleDefaults,
    entryPoints: ENTRIES,
    outdir: inRoot("dist"),
    // Beside the entries: a worker's address is relative to the file that names it, which may become a chunk.
    chunkNames: "[name]-[hash]",
    // Names stay, so that traces of errors and values in a console can be read.
    minifySyntax: true,
    minifyWhitespace: true,
    // Node.js prints the whole line that threw an error which nobody catches.
    lineLimit: 160,
    legalComments: "none",
    write: false,
    metafile: true,
  });
  await mkdir(inRoot("dist"), { recursive: true });
  await Promise.all(
    outputFiles.map(({ path, text }) => writeFile(path, foundAtRunTime(withWholeStrings(text)))),
  );
  const workers = await Promise.all(
    WORKERS.map(async (name) => {
      const { text, inputs } = await script(inRoot(`src/${name}.ts`));
      const file = inRoot(`dist/${name}.js`);
      await writeFile(file, text);
      return { file, inputs };
    }),
  );
  const python = (await readdir(inRoot(PYTHON.from))).filter((name) => name.endsWith(".py"));
  await mkdir(inRoot(PYTHON.to), { recursive: true });
  for (const name of python) await copyFile(inRoot(join(PYTHON.from, name)), inRoot(join(PYTHON.to, name)));
  const modules = [...modulesBeside].map((from) => ({ from, to: inRoot(join("dist", basename(from))) }));
  for (const { from, to } of modules) await copyFile(from, to);
  const licenceFile = inRoot("dist/THIRD_PARTY_LICENSES");
  const inputs = [...Object.keys(metafile.inputs), ...workers.flatMap(({ inputs }) => inputs)];
  await writeFile(licenceFile, await licences(root, inputs.map(fileOf)));
  const written = [
    ...Object.keys(metafile.outputs).map(inRoot),
    ...workers.map(({ file }) => file),
    ...python.map((name) => inRoot(join(PYTHON.to, name))),
    ...modules.map(({ to }) => to),
    licenceFile,
  ];
  await removeOthers(inRoot("dist"), new Set(written));
  await chmod(inRoot("dist/cli.js"), 0o755);
}

/** An input of a bundle as a path from the root, whichever plugin read it. */
function fileOf(input) {
  return relative(root, resolve(root, input.replace(/^packed-wasm:/, "")));
}

/** Chunks are named by their content: those of earlier builds would pile up. */
async function removeOthers(folder, keep) {
  for (const entry of await readdir(folder, { withFileTypes: true, recursive: true })) {
    const path = join(entry.parentPath ?? entry.path, entry.name);
    const isDeclaration = path.startsWith(inRoot("dist/types"));
    if (entry.isFile() && !isDeclaration && !keep.has(path)) await rm(path, { force: true });
  }
}

async function types() {
  const staging = inRoot(`build/types.${process.pid}`);
  try {
    run("node_modules/typescript/bin/tsc", ["-p", "tsconfig.types.json", "--outDir", staging]);
    await useJsSpecifiers(staging);
    await keepPublicTypes(staging);
    await rm(inRoot("dist/types"), { recursive: true, force: true });
    await mkdir(inRoot("dist"), { recursive: true });
    await rename(staging, inRoot("dist/types"));
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
}

/** Declarations keep the `.ts` of their sources' imports; a consumer's resolution wants `.js`. */
async function useJsSpecifiers(folder) {
  for (const file of await readdir(folder, { recursive: true })) {
    if (!file.endsWith(".d.ts")) continue;
    const text = await readFile(join(folder, file), "utf8");
    await writeFile(
      join(folder, file),
      text.replace(/((?:from|import\()\s*"\.{1,2}\/[^"]*)\.ts"/g, '$1.js"'),
    );
  }
}

/** Declarations that none of the entries' lead to are nobody's business: they are two thirds of all. */
async function keepPublicTypes(folder) {
  const kept = new Set();
  const visit = async (file) => {
    if (kept.has(file)) return;
    kept.add(file);
    const text = await readFile(file, "utf8");
    const imports = [...text.matchAll(/(?:from|import\()\s*"(\.{1,2}\/[^"]*)\.js"/g)];
    await Promise.all(imports.map(([, path]) => visit(resolve(dirname(file), `${path}.d.ts`))));
  };
  const entries = Object.values(manifest.exports).flatMap(({ types }) => types ?? []);
  await Promise.all(entries.map((path) => visit(join(folder, relative("dist/types", path)))));
  for (const entry of await readdir(folder, { withFileTypes: true, recursive: true })) {
    const path = join(entry.parentPath ?? entry.path, entry.name);
    if (entry.isFile() && !kept.has(path)) await rm(path);
  }
}

function run(script, args) {
  const { status } = spawnSync(process.execPath, [inRoot(script), ...args], { cwd: root, stdio: "inherit" });
  if (status !== 0) throw new Error(`${script} failed`);
}

/** @returns the text that a generator writes now. */
async function textOf({ source, write }) {
  const { outputFiles } = await esbuild.build({
    absWorkingDir: root,
    entryPoints: [source],
    bundle: true,
    format: "esm",
    platform: "neutral",
    write: false,
  });
  return write(
    await import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString("base64")}`),
  );
}

async function staleFiles() {
  const states = await Promise.all(
    GENERATED.map(async (file) => {
      const [wanted, found] = await Promise.all([
        textOf(file),
        readFile(inRoot(file.path), "utf8").catch(() => ""),
      ]);
      return { path: file.path, wanted, stale: wanted !== found };
    }),
  );
  return states.filter((state) => state.stale);
}

async function generate() {
  for (const { path, wanted } of await staleFiles()) {
    await mkdir(dirname(inRoot(path)), { recursive: true });
    await writeFile(inRoot(path), wanted);
    console.log(`  wrote ${path}`);
  }
}

async function checkGenerated() {
  const stale = await staleFiles();
  if (stale.length > 0) {
    throw new Error(
      `Stale: ${stale.map(({ path }) => path).join(", ")}. Run \`npm run generate\` and commit.`,
    );
  }
}

async function timed(name, task) {
  const start = performance.now();
  const built = await task();
  const seconds = ((performance.now() - start) / 1000).toFixed(2);
  console.log(`${name.padEnd(28)} ${seconds.padStart(6)} s${built === false ? "  (fresh)" : ""}`);
}

async function wasm() {
  for (const [name, make] of Object.entries(WASM_MODULES)) {
    if (!name.endsWith(".test.wasm")) await timed(name, make);
  }
}

const COMMANDS = {
  all: async () => {
    await wasm();
    await timed("bundles", bundleAll);
    await timed("types", types);
  },
  wasm,
  generate: () => timed("generated files", generate),
  "check-generated": () => timed("generated files", checkGenerated),
};

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const command = COMMANDS[process.argv[2] ?? "all"];
  try {
    if (command === undefined)
      throw new Error(`Usage: node build.mjs [${Object.keys(COMMANDS).join(" | ")}]`);
    await command();
  } catch (error) {
    // esbuild and the compilers have printed or carry their own diagnostics.
    console.error(error.errors === undefined ? error.message : "The bundle failed.");
    process.exitCode = 1;
  }
}
