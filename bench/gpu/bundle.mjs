/**
 * Bundles what bench/gpu.sh runs, and the addon's headers, into build/gpu/programs: afterwards neither npm packages nor
 * Emscripten are needed. `node bench/gpu/bundle.mjs`.
 */
import { cpSync, existsSync, mkdirSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";
import { bundleDefaults } from "../../build.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const require = createRequire(import.meta.url);
const target = join(root, "build/gpu/programs");

rmSync(target, { recursive: true, force: true });
mkdirSync(target, { recursive: true });
await esbuild.build({
  ...bundleDefaults,
  entryPoints: {
    glimt: "src/cli/main.ts",
    speed: "bench/model.long.bench.ts",
    golden: "bench/gpu/golden.ts",
    sanitized: "bench/gpu/sanitized.ts",
  },
  outdir: target,
  outExtension: { ".js": ".mjs" },
});
cpSync(require("node-api-headers").include_dir, join(target, "node-api-headers"), { recursive: true });
const addonApi = dirname(require.resolve("node-addon-api"));
for (const header of ["napi.h", "napi-inl.h", "napi-inl.deprecated.h"]) {
  if (existsSync(join(addonApi, header)))
    cpSync(join(addonApi, header), join(target, "node-addon-api", header));
}
console.log(target);
