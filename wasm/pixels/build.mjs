/** Compiles the AssemblyScript pixel loops (entry index.ts) into one small WebAssembly module. */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "../..");

// No garbage collector: the loops work on memory that the caller lays out.
const FLAGS = ["--runtime", "stub", "--enable", "simd", "-O3", "--converge", "--noAssert"];

/** Builds `outDir`/pixels.wasm unless it is fresh. @returns whether anything was built. */
export async function buildPixels(outDir) {
  const target = join(outDir, "pixels.wasm");
  const key = digest();
  const stamp = `${target}.key`;
  if (existsSync(target) && existsSync(stamp) && readFileSync(stamp, "utf8") === key) return false;
  await mkdir(outDir, { recursive: true });

  const { default: asc } = await import("assemblyscript/asc");
  const entry = relative(root, join(here, "index.ts"));
  const outFile = relative(root, target);
  const { error, stderr } = await asc.main([entry, "--baseDir", root, "--outFile", outFile, ...FLAGS]);
  if (error) throw new Error(`asc failed:\n${stderr.toString() || error.message}`);
  await writeFile(stamp, key);
  return true;
}

function digest() {
  const hash = createHash("sha256").update(FLAGS.join(" "));
  const compiler = join(root, "node_modules/assemblyscript/package.json");
  const sources = readdirSync(here).sort().map((name) => join(here, name));
  for (const file of [compiler, ...sources]) hash.update(readFileSync(file)).update("\0");
  return hash.digest("hex");
}
