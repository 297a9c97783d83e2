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
  "/model": page(NO_WASM, `return errorOf(loadModel("/${CHECKPOINT}"));`),
  "/processor": page(
    NO_WASM,
    `return errorOf((await openProcessor("/${CHECKPOINT}")).process([{ role: "user", content }]));`,
  ),
};

const executablePath = findChromium();
if (executablePath === undefined) {
  console.log("skipped: no Chromium (Debian: apt-get install chromium, or set GLIMT_CHROMIUM)");
}
const inChromium = executablePath === undefined ? test.skip : test;

inChromium("a page that forbids WebAssembly is told what its policy lacks", async () => {
  const server = await serveLoopback(FOLDERS, PAGES);
  const browser = await chromium.launch({ executablePath: executablePath!, args: ARGS });
  try {
    for (const path of Object.keys(PAGES)) {
      const tab = await browser.newPage();
      await tab.goto(server.origin + path);
      const handle = await tab.waitForFunction("globalThis.found", undefined, { timeout: 60_000 });
      assert.match(String(await handle.jsonValue()), /^BACKEND_UNAVAILABLE: .*'wasm-unsafe-eval'/, path);
    }
  } finally {
    await browser.close();
    server.close();
  }
});

test.run();
