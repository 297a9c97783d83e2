/**
 * Finds an Emscripten that compiles relaxed SIMD and threads. Debian 12's own is too old for that (its clang is 14):
 * then a newer clang of Debian's does the work, with Emscripten's headers, through a configuration file of our own.
 */
import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readlinkSync,
  realpathSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { delimiter, dirname, join } from "node:path";

/** The first clang with the final relaxed SIMD instructions. */
const OLDEST_CLANG = 17;
const NEWEST_CLANG = 30;
/** What emcc calls of LLVM. */
const LLVM_TOOLS = ["clang", "clang++", "llvm-ar", "llvm-nm", "llvm-objcopy", "llvm-ranlib", "wasm-ld"];
const REMEDY = "On Debian 12: apt-get install --no-install-recommends emscripten clang-19 lld-19 llvm-19";

/**
 * @returns the compiler that emcc calls and the flags that it gives it, which spares emcc's own start for each source; the
 * linker, and what changes with the compiler
 * @param folder where a configuration may be written
 * @throws Error saying what to install
 */
export function findToolchain(folder) {
  const emcc = onPath("emcc");
  if (emcc === undefined)
    throw new Error(`The kernels need Emscripten, and there is no \`emcc\` on the PATH. ${REMEDY}`);
  const own = clangOf(emcc);
  if (own >= OLDEST_CLANG) {
    const llvm = execFileSync("em-config", ["LLVM_ROOT"], { encoding: "utf8" }).trim();
    return {
      path: join(llvm, "clang++"),
      flags: flagsOf(emcc),
      linker: join(llvm, "wasm-ld"),
      id: stampOf(emcc),
    };
  }
  const version = newestClang();
  if (version === undefined) {
    throw new Error(
      `The kernels need a clang from ${OLDEST_CLANG} on; Emscripten's is ${own}, and there is no other. ${REMEDY}`,
    );
  }
  const flags = flagsOf(emcc, {
    EM_CONFIG: writeConfig(folder, emcc, version),
    NODE_PATH: "/usr/share/nodejs",
    EMCC_SKIP_SANITY_CHECK: "1",
  });
  const path = join(llvmFolder(folder, version), "clang++");
  const linker = onPath(`wasm-ld-${version}`);
  return { path, flags, linker, id: `${stampOf(emcc)} ${stampOf(onPath(`clang-${version}`))}` };
}

/** What emcc gives its clang. */
function flagsOf(emcc, env = {}) {
  const line = execFileSync(emcc, ["--cflags"], { encoding: "utf8", env: { ...process.env, ...env } });
  return [...line.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain);
}

/** Version of the clang that emcc calls by itself. */
function clangOf(emcc) {
  const macros = execFileSync(emcc, ["-dM", "-E", "-x", "c", "/dev/null"], { encoding: "utf8" });
  return Number(/__clang_major__ (\d+)/.exec(macros)?.[1] ?? 0);
}

function newestClang() {
  for (let version = NEWEST_CLANG; version >= OLDEST_CLANG; version--) {
    if (onPath(`clang-${version}`) && onPath(`wasm-ld-${version}`)) return version;
  }
  return undefined;
}

/** Links by the names that emcc calls tools by. */
function llvmFolder(folder, version) {
  return join(folder, `llvm-${version}`);
}

/** @returns the path of a configuration in which emcc calls clang `version` */
function writeConfig(folder, emcc, version) {
  const llvm = llvmFolder(folder, version);
  mkdirSync(llvm, { recursive: true });
  for (const tool of LLVM_TOOLS) link(onPath(`${tool}-${version}`), join(llvm, tool));
  const settings = {
    EMSCRIPTEN_ROOT: emscriptenRoot(emcc),
    LLVM_ROOT: llvm,
    BINARYEN_ROOT: "/usr",
    NODE_JS: process.execPath,
    CACHE: join(emscriptenRoot(emcc), "cache"),
  };
  const lines = Object.entries(settings).map(([name, value]) => `${name} = ${JSON.stringify(value)}`);
  const path = join(folder, "emscripten.config");
  // Headers are all that is taken from the cache, which belongs to the system.
  const partial = `${path}.${process.pid}`;
  writeFileSync(partial, [...lines, "FROZEN_CACHE = True", ""].join("\n"));
  renameSync(partial, path);
  return path;
}

/** Another build may be using what is there, or make the same link now. */
function link(target, path) {
  if (target === undefined || linkedTo(path) === target) return;
  const partial = `${path}.${process.pid}`;
  symlinkSync(target, partial);
  renameSync(partial, path);
}

function linkedTo(path) {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}

/** Debian's emcc is a link into it. */
function emscriptenRoot(emcc) {
  const beside = dirname(realpathSync(emcc));
  return existsSync(join(beside, "emcc.py")) ? beside : "/usr/share/emscripten";
}

function onPath(name) {
  return (process.env.PATH ?? "")
    .split(delimiter)
    .map((folder) => join(folder, name))
    .find((path) => existsSync(path));
}

function stampOf(path) {
  const { mtimeMs, size } = statSync(realpathSync(path));
  return `${path} ${mtimeMs} ${size}`;
}
