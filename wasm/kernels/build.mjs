/**
 * Compiles wasm/kernels/*.cpp with Emscripten into standalone modules without JavaScript glue, one a variant:
 * one object per source, rebuilt only when the source, a header it includes, the flags or the compiler change.
 */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { basename, dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { findToolchain } from "./toolchain.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "../..");

/**
 * The variants of the module by name, with what the compiler may use for them. src/backends/wasm/variant-choice.ts says
 * which hosts run each; a test holds the two lists together. One module is for one thread and for several: it imports
 * memory that threads share, and who has one thread clears a bit of that (src/backends/wasm/one-thread.ts).
 */
export const VARIANTS = {
  relaxed: ["-msimd128", "-mrelaxed-simd"],
  simd: ["-msimd128"],
  // 64-bit addresses: more memory, slower products. Hosts that have them have relaxed SIMD.
  relaxed64: ["-msimd128", "-mrelaxed-simd", "--target=wasm64-unknown-emscripten"],
};

/** Modules that tests and benchmarks load: a variant in which some sources stand in for others. */
const TEST_MODULES = {
  adverse: { variant: "simd", replace: { "parts.cpp": "tests/adverse_parts.cpp" } },
  limits: { variant: "relaxed", replace: { "ceilings.cpp": "tests/limits.cpp" } },
  pretending: {
    variant: "relaxed",
    replace: {
      "byte_dot.cpp": "tests/pretended_dot.cpp",
      "block_tile.cpp": "tests/pretending_block_tile.cpp",
      "flipped_tile.cpp": "tests/pretending_flipped_tile.cpp",
      "paged_q8.cpp": "tests/pretending_paged_q8.cpp",
    },
  },
};

/** All modules by file name; those of tests and benchmarks are not published. */
export const MODULES = Object.fromEntries([
  ...Object.keys(VARIANTS).map((name) => [`kernels.${name}.wasm`, { variant: name, replace: {} }]),
  // For hosts that take no bytes, so that nobody could clear a bit of them.
  ["kernels.relaxed-single.wasm", { variant: "relaxed", replace: {}, isSingle: true }],
  ...Object.entries(TEST_MODULES).map(([name, module]) => [`kernels.${name}.test.wasm`, module]),
]);

const COMPILE_FLAGS = [
  "-O3",
  "-std=c++20",
  "-fno-exceptions",
  "-fno-rtti",
  "-fno-math-errno",
  // The same rounding whatever the compiler would like to fuse.
  "-ffp-contract=off",
  // Every host with SIMD has it, and no library has to copy memory.
  "-mbulk-memory",
  "-matomics",
  "-Wall",
  "-Wextra",
  `-I${relative(root, here)}`,
  "-Isrc/program/cpp",
];

/** What some sources are compiled with besides. */
const SOURCE_FLAGS = {
  // In the order it is written, so that a value of x is used up before the next is loaded: else sums leave registers.
  "block_tile.cpp": ["-mllvm", "-pre-RA-sched=source"],
  "flipped_tile.cpp": ["-mllvm", "-pre-RA-sched=source"],
  "paged_q8.cpp": ["-mllvm", "-pre-RA-sched=source"],
};

// Exported functions are those marked EMSCRIPTEN_KEEPALIVE. There is no library: nothing is imported but memory.
const LINK_FLAGS = [
  "--no-entry",
  "--strip-debug",
  "--gc-sections",
  `--initial-memory=${16 << 20}`,
  // The default of 64 KiB is too small for tiles on the stack.
  "-z",
  `stack-size=${1 << 20}`,
  // Each thread has a stack of its own.
  "--export=__stack_pointer",
  "--import-memory",
];
/** What a memory may grow to: all that 32 bits address, and the most that engines give one of 64. */
const MEMORY32 = [`--max-memory=${2 ** 32}`];
const MEMORY64 = ["-mwasm64", `--max-memory=${2 ** 34}`];

/** Looked for once a process. */
let compiler;

/** Builds one of MODULES in `outDir` unless it is fresh. @returns whether anything was built. */
export async function buildKernels(outDir, fileName) {
  compiler ??= findToolchain(await folderOf(outDir));
  const { variant, replace, isSingle = false } = MODULES[fileName];
  const objectDir = join(outDir, variant);
  await mkdir(objectDir, { recursive: true });

  const sources = readdirSync(here)
    .filter((name) => name.endsWith(".cpp"))
    .sort();
  const flags = [...COMPILE_FLAGS, ...VARIANTS[variant]];
  const objects = await inParallel(sources, (name) =>
    compile(
      compiler,
      [...flags, ...(SOURCE_FLAGS[name] ?? [])],
      join(here, replace[name] ?? name),
      objectDir,
    ),
  );

  const target = join(outDir, fileName);
  const is64 = VARIANTS[variant].includes("--target=wasm64-unknown-emscripten");
  const linking = [...LINK_FLAGS, ...(is64 ? MEMORY64 : MEMORY32), ...(isSingle ? [] : ["--shared-memory"])];
  const key = digest([compiler.id, fileName, linking.join(" "), ...objects.map((object) => object.key)]);
  if (existsSync(target) && (await readStamp(target))?.key === key) return false;
  await replacing(target, (partial) =>
    run(compiler.linker, [...objects.map((object) => object.path), ...linking, "-o", partial]),
  );
  await writeStamp(target, { key });
  return true;
}

async function compile(compiler, flags, source, objectDir) {
  const path = join(objectDir, `${basename(source, ".cpp")}.o`);
  const keyOf = (dependencies) =>
    digest([compiler.id, flags.join(" "), ...dependencies.map((file) => `${file}\n${contentOf(file)}`)]);
  const stamp = existsSync(path) ? await readStamp(path) : undefined;
  if (stamp !== undefined && stamp.key === keyOf(stamp.dependencies)) return { path, key: stamp.key };

  let dependencies = [];
  await replacing(path, async (partial) => {
    const list = `${partial}.d`;
    const from = relative(root, source);
    await run(compiler.path, [...compiler.flags, ...flags, "-MMD", "-MF", list, "-c", from, "-o", partial]);
    dependencies = dependenciesIn(await readFile(list, "utf8"));
  });
  const key = keyOf(dependencies);
  await writeStamp(path, { key, dependencies });
  return { path, key };
}

/** Files of this repository that a Makefile rule written by the compiler depends on. */
function dependenciesIn(rule) {
  const files = rule.slice(rule.indexOf(": ") + 2).split(/(?:\s|\\\n)+/);
  return files.filter(
    (file) => file !== "" && !relative(root, join(root, file)).startsWith("..") && file[0] !== "/",
  );
}

async function folderOf(outDir) {
  const folder = join(outDir, "toolchain");
  await mkdir(folder, { recursive: true });
  return folder;
}

async function run(command, args) {
  try {
    const options = { cwd: root, maxBuffer: 1 << 26 };
    const { stderr } = await promisify(execFile)(command, args, options);
    process.stderr.write(stderr);
  } catch (error) {
    throw new Error(`${basename(command)} failed:\n${error.stderr || error.message}`);
  }
}

/**
 * Writes beside `target` and moves into place, so that a build running at the same time never sees half a file. It has its name
 * from the beginning, in a folder of this process: the linker writes the name into the module.
 */
async function replacing(target, write) {
  const folder = `${target}.${process.pid}`;
  const partial = join(folder, basename(target));
  await mkdir(folder, { recursive: true });
  try {
    await write(partial);
    await rename(partial, target);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function inParallel(items, task) {
  const results = new Array(items.length);
  const waiting = items.entries();
  const worker = async () => {
    for (const [index, item] of waiting) results[index] = await task(item);
  };
  await Promise.all(Array.from({ length: Math.min(items.length, availableParallelism()) }, worker));
  return results;
}

const digest = (parts) => createHash("sha256").update(parts.join("\0")).digest("hex");
const contentOf = (file) =>
  existsSync(join(root, file)) ? readFileSync(join(root, file), "utf8") : "missing";

async function readStamp(target) {
  try {
    return JSON.parse(await readFile(`${target}.json`, "utf8"));
  } catch {
    return undefined;
  }
}

const writeStamp = (target, stamp) => writeFile(`${target}.json`, JSON.stringify(stamp));
