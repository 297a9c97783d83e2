/**
 * Builds the page into build/web: a folder that any web server can serve. `node examples/web/build.mjs`, after `npm run build`.
 */
import { access, cp, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";
import { bundleDefaults } from "../../build.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "../..");

/** As a page of yours imports it: its edge build. */
const SDK = join(root, "dist/edge.js");

export const OUT = join(root, "build/web");

/** The page says it itself, so that it holds on every server; ours sends it too, for the worker. */
export const POLICY = Object.entries({
  "default-src": "'none'",
  // What the SDK compiles: in its worker, or on the page where it gets none.
  "script-src": "'self' 'wasm-unsafe-eval'",
  "style-src": "'self'",
  "img-src": "'self' blob: data:",
  "media-src": "blob:",
  "worker-src": "'self'",
  // Models of the Hub and of any address, and servers on this machine.
  "connect-src": "'self' blob: https: http://localhost:* http://127.0.0.1:*",
  "form-action": "'none'",
  "base-uri": "'none'",
})
  .map((directive) => directive.join(" "))
  .join("; ");

/** Beside the bundle: what the page and the SDK ask for by name. From the root, to the folder that is served. */
const COPIED = {
  "examples/web/icon.svg": "icon.svg",
  "dist/worker.js": "worker.js",
  "examples/demo/checkpoint": "demo/checkpoint",
  "examples/demo/pictures": "demo/pictures",
};

/** @throws Error when the package is not built */
export async function buildWeb() {
  await access(SDK).catch(() => {
    throw new Error("The package is not built: run npm run build first.");
  });
  await rm(OUT, { recursive: true, force: true });
  await mkdir(OUT, { recursive: true });
  await esbuild.build({
    ...bundleDefaults,
    platform: "browser",
    target: "es2022",
    // Chunks of the built package import others for what those do on loading, which is nothing.
    logOverride: { "ignored-bare-import": "silent" },
    minify: true,
    alias: { glimt: SDK },
    entryPoints: [
      { in: join(here, "src/main.ts"), out: "page" },
      { in: join(here, "style/page.css"), out: "page" },
    ],
    outdir: OUT,
  });
  const html = await readFile(join(here, "index.html"), "utf8");
  await writeFile(join(OUT, "index.html"), html.replace("%CSP%", POLICY));
  for (const [from, to] of Object.entries(COPIED)) {
    await cp(join(root, from), join(OUT, to), { recursive: true });
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await buildWeb();
  console.log(`Built ${relative(process.cwd(), OUT)}`);
}
