/** Where files are parsed in a real browser: in the worker's file, in a copy of it, and on the page where it has to be. */
import { cpSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as esbuild from "esbuild";
import { type Browser, chromium } from "playwright-core";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { greyPng } from "../workers/pictures.ts";
import { ARGS, findChromium } from "./chromium.ts";
import { type Loopback, serveLoopback } from "./loopback.ts";

const PAGE = '<!doctype html><link rel="icon" href="data:,">';
const policy = (content: string) => `${PAGE}<meta http-equiv="Content-Security-Policy" content="${content}">`;

const executablePath = findChromium();
if (executablePath === undefined) {
  console.log("skipped: no Chromium (Debian: apt-get install chromium, or set GLIMT_CHROMIUM)");
}
const inChromium = executablePath === undefined ? test.skip : test;

let browser: Browser;
let server: Loopback;
let folder: string;

test.before(async () => {
  if (executablePath === undefined) return;
  folder = mkdtempSync(join(tmpdir(), "glimt-browser-"));
  // The package without its worker's file, and bundled with and without it.
  cpSync("dist", join(folder, "bare"), { recursive: true, filter: (path) => !path.endsWith("/worker.js") });
  for (const name of ["bundled", "bundled-bare"]) {
    await esbuild.build({
      entryPoints: { app: "./dist/edge.js" },
      bundle: true,
      splitting: true,
      format: "esm",
      minify: true,
      outdir: join(folder, name),
      logLevel: "error",
    });
  }
  cpSync("dist/worker.js", join(folder, "bundled/worker.js"));
  mkdirSync(join(folder, "elsewhere"));
  cpSync("dist/worker.js", join(folder, "elsewhere/parser.js"));
  server = await serveLoopback(
    { "/dist/": "dist", "/examples/": "examples", "/files/": folder },
    {
      "/": PAGE,
      "/no-workers": policy("worker-src 'none'"),
      "/no-blobs": policy("worker-src 'self'"),
      // What servers of single-page applications answer for every file they lack.
      "/files/bare/worker.js": "<!doctype html><title>Welcome</title>",
    },
  );
  browser = await chromium.launch({ executablePath, args: ARGS });
});

test.after(async () => {
  if (executablePath === undefined) return;
  await browser.close();
  server.close();
  rmSync(folder, { recursive: true });
});

interface Reading {
  readonly page?: string;
  readonly entry?: string;
  readonly workerUrl?: string;
  readonly picture?: Uint8Array;
  readonly abortAfter?: number;
}

/** Reads a picture twice, and tells the workers that were started, and how long a timer of the page had to wait. */
async function read(reading: Reading) {
  const page = await browser.newPage();
  try {
    const workers: string[] = [];
    page.on("worker", (worker) => workers.push(worker.url().replace(server.origin, "")));
    const errors: string[] = [];
    page.on("pageerror", (error) => errors.push(error.message));
    await page.goto(`${server.origin}${reading.page ?? "/"}`);
    const found = await page.evaluate(
      async ({ entry, workerUrl, picture, abortAfter }) => {
        const { openProcessor } = await import(entry);
        const options = { maxImagePixels: 10_000, ...(workerUrl === undefined ? {} : { workerUrl }) };
        const processor = await openProcessor("/examples/demo/checkpoint", options);
        const bytes = Uint8Array.from(atob(picture), (letter) => letter.charCodeAt(0));
        const process = async (signal?: AbortSignal) => {
          const content = [{ type: "image", image: bytes }];
          const { imageGridThw } = await processor.process([{ role: "user", content }], { signal });
          return imageGridThw as number[][];
        };
        const start = performance.now();
        if (abortAfter !== undefined) {
          const signal = AbortSignal.timeout(abortAfter);
          const code = await process(signal).catch((error: { code: string }) => error.code);
          return { code, milliseconds: performance.now() - start, bytes: bytes.length };
        }
        const grid = await process();
        const milliseconds = performance.now() - start;
        await process();
        return { grid, milliseconds, bytes: bytes.length };
      },
      {
        entry: reading.entry ?? "/dist/edge.js",
        workerUrl: reading.workerUrl,
        picture: Buffer.from(reading.picture ?? greyPng(56, 56)).toString("base64"),
        abortAfter: reading.abortAfter,
      },
    );
    assert.equal(errors, []);
    assert.ok(found.bytes > 0, "the bytes stay the caller's");
    return { ...found, workers };
  } finally {
    await page.close();
  }
}

/** Loading what is not there is told at once; a worker that said nothing would be given twice as long. */
const QUICK = 15_000;

const PLACES: readonly [name: string, reading: Reading, worker: RegExp | undefined][] = [
  ["the file beside the package", {}, /^\/dist\/worker\.js$/],
  ["another place", { workerUrl: "/files/elsewhere/parser.js" }, /^\/files\/elsewhere\/parser\.js$/],
  ["a place that is not there", { workerUrl: "/files/nothing.js" }, /^blob:/],
  ["a page in place of the file", { entry: "/files/bare/edge.js" }, /^blob:/],
  ["a bundle with the file", { entry: "/files/bundled/app.js" }, /^\/files\/bundled\/worker\.js$/],
  ["a bundle without it", { entry: "/files/bundled-bare/app.js" }, /^blob:/],
  ["a page that allows its own files", { page: "/no-blobs" }, /^\/dist\/worker\.js$/],
  ["a page that allows no worker", { page: "/no-workers" }, undefined],
  [
    "a page that allows only its own files, which are not there",
    { page: "/no-blobs", entry: "/files/bundled-bare/app.js" },
    undefined,
  ],
];
for (const [name, reading, expected] of PLACES) {
  inChromium(`${name}: ${expected ? "a worker parses" : "the page parses"}`, async () => {
    const { grid, milliseconds, workers } = await read(reading);
    assert.equal(grid, [[1, 6, 6]]);
    assert.ok(milliseconds < QUICK, `${milliseconds} ms`);
    // What failed to load may have been seen too.
    const last = workers.at(-1);
    if (expected) assert.match(last ?? "no worker", expected);
    assert.ok(workers.length <= 2, workers.join(", "));
  });
}

inChromium("an abort ends decoding at once", async () => {
  const picture = greyPng(9000, 9000);
  const whole = await read({ picture });
  const { code, milliseconds } = await read({ picture, abortAfter: 150 });
  assert.is(code, "ABORTED");
  assert.ok(milliseconds < whole.milliseconds / 2, `${milliseconds} ms of ${whole.milliseconds}`);
});

test.run();
