/** Pages whose Content-Security-Policy forbids what glimt would like to do. */
import { chromium } from "playwright-core";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { CHECKPOINT, PICTURE } from "./answer.mjs";
import { ARGS, findChromium } from "./chromium.ts";
import { serveLoopback } from "./loopback.ts";

const FOLDERS = { "/dist/": "dist", "/examples/": "examples", "/test/": "test/browser" };
const NO_WASM = "script-src 'self' 'unsafe-inline'";
const page = (policy: string, script: string) => `<!doctype html>
<meta http-equiv="Content-Security-Policy" content="${policy}"><link rel="icon" href="data:,">
<script type="module">
import { loadModel, openProcessor } from "/dist/edge.js";
const content = [{ type: "image", image: "/${PICTURE}" }];
const errorOf = (promise) => promise.then(() => "none", ({ code, message }) => code + ": " + message);
globalThis.found = (async () => { ${script} })();
</script>`;
const PAGES = {
  "/model": page(NO_WASM, `return errorOf(loadModel("/${CHECKPOINT}", { worker: false }));`),
  "/processor": page(
    NO_WASM,
    `return errorOf((await openProcessor("/${CHECKPOINT}")).process([{ role: "user", content }]));`,
  ),
};
/** The policy of a worker from a file is that of its file. */
const IN_WORKER = page(NO_WASM, `return errorOf(loadModel("/${CHECKPOINT}"));`);
/** No worker may be started: the model is on the page's thread. */
const NO_WORKER = page(
  "worker-src 'none'",
  `const { backend } = await loadModel("/${CHECKPOINT}"); return backend.limits.join();`,
);
/** Workers start from text alone: the model's, and of that the one that decodes the picture. */
const BLOB_WORKER = page(
  "worker-src blob:",
  `let blobs = 0;
   globalThis.Worker = class extends Worker {
     constructor(url, ...options) { super(url, ...options); blobs += Number(String(url).startsWith("blob:")); }
   };
   const model = await loadModel("/${CHECKPOINT}");
   const { text } = await model.complete([{ role: "user", content: [...content, { type: "text", text: "Text Recognition:" }] }], { maxTokens: 24 });
   const isHere = /On the thread that loaded it/.test(model.backend.limits.join());
   await model.dispose();
   return [text, blobs, isHere].join();`,
);

const executablePath = findChromium();
if (executablePath === undefined) {
  console.log("skipped: no Chromium (Debian: apt-get install chromium, or set GLIMT_CHROMIUM)");
}
const inChromium = executablePath === undefined ? test.skip : test;

inChromium("a page that forbids WebAssembly is told what its policy lacks", async () => {
  const server = await serveLoopback(FOLDERS, {
    ...PAGES,
    "/in-worker": IN_WORKER,
    "/no-worker": NO_WORKER,
    "/blob-worker": BLOB_WORKER,
  });
  const browser = await chromium.launch({ executablePath: executablePath!, args: ARGS });
  try {
    const found = async (path: string) => {
      const tab = await browser.newPage();
      await tab.goto(server.origin + path);
      const handle = await tab.waitForFunction("globalThis.found", undefined, { timeout: 60_000 });
      return String(await handle.jsonValue());
    };
    for (const path of Object.keys(PAGES)) {
      assert.match(await found(path), /^BACKEND_UNAVAILABLE: .*'wasm-unsafe-eval'/, path);
    }
    assert.is(await found("/in-worker"), "none");
    assert.is(await found("/blob-worker"), "Hello world,1,false");
    assert.match(await found("/no-worker"), /On the thread that loaded it, since no worker could be started/);
  } finally {
    await browser.close();
    server.close();
  }
});

test.run();
