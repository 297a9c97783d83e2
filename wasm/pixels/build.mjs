/** Builds wasm/pixels/pixels.ts to build/wasm/pixels.wasm: `node wasm/pixels/build.mjs [outDir]`. */

import { existsSync, mkdirSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const sources = [join(here, "pixels.ts"), join(here, "build.mjs")];

/** Compiles unless the module is newer than its sources; returns whether it compiled. */
export async function buildPixels(outDir) {
  const outFile = join(outDir, "pixels.wasm");
  const newest = Math.max(...sources.map((file) => statSync(file).mtimeMs));
  if (existsSync(outFile) && statSync(outFile).mtimeMs > newest) return false;
  const { default: asc } = await import("assemblyscript/asc");
  mkdirSync(outDir, { recursive: true });
  const { error, stderr } = await asc.main([
    sources[0],
    ...["--outFile", outFile],
    // "stub" and no exported runtime: nothing is allocated, the host lays out the memory.
    ...["--runtime", "stub", "--enable", "simd"],
    ...["-O3", "--noAssert", "--converge"],
  ]);
  if (error) throw new Error(`AssemblyScript failed on ${sources[0]}\n${stderr}`, { cause: error });
  return true;
}

if (process.argv[1] && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const outDir = process.argv[2] ?? join(here, "../../build/wasm");
  console.log((await buildPixels(outDir)) ? `built ${outDir}/pixels.wasm` : `${outDir}/pixels.wasm is up to date`);
}
