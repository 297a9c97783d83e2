// Bundles and runs export-cases.ts: node crates-free-native/tests/export-cases.mjs <folder>
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { build } from "esbuild";

const folder = mkdtempSync(join(tmpdir(), "glimt-cases-"));
try {
  const outfile = join(folder, "export-cases.mjs");
  await build({
    entryPoints: [new URL("./export-cases.ts", import.meta.url).pathname],
    outfile,
    bundle: true,
    platform: "node",
    format: "esm",
    loader: { ".wasm": "binary" },
    logLevel: "warning",
  });
  await import(pathToFileURL(outfile).href);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
