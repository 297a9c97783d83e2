/** Video files in a real browser: its own WebCodecs, the same prompt as in Node. */
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { ARGS, findChromium } from "./chromium.ts";
import { serveLoopback } from "./loopback.ts";

const CHECKPOINT = "test/golden/data/glm4v-tiny";
const MOVIES = "test/golden/data/movies";
const FILES = ["vp9.webm", "vp8.webm", "patches.gif", "blended.webp", "patches.png"];
/** The files whose pixels come out the same; browsers convert the colours of movies on their own. */
const EXACT = ["patches.gif", "blended.webp", "patches.png"];

interface Processed {
  readonly inputIds: readonly number[];
  readonly videoGridThw: readonly (readonly number[])[];
  readonly pixels: readonly number[];
}

const PAGE = `<!doctype html><link rel="icon" href="data:,"><script type="module">
import { openProcessor } from "/dist/edge.js";
globalThis.read = (async () => {
  const processor = await openProcessor("/${CHECKPOINT}");
  const found = {};
  for (const file of ${JSON.stringify(FILES)}) {
    const video = await (await fetch("/${MOVIES}/" + file)).blob();
    const { inputIds, videoGridThw, pixelValuesVideos } = await processor.process([
      { role: "user", content: [{ type: "video", video }] },
    ]);
    found[file] = { inputIds, videoGridThw, pixels: Array.from(pixelValuesVideos) };
  }
  return found;
})();
</script>`;

const executablePath = findChromium();
if (executablePath === undefined) {
  console.log("skipped: no Chromium (Debian: apt-get install chromium, or set GLIMT_CHROMIUM)");
}
const inChromium = executablePath === undefined ? test.skip : test;

inChromium("Chromium reads video files as Node does", async () => {
  const { openProcessor } = await import(pathToFileURL("dist/index.js").href);
  const processor = await openProcessor(CHECKPOINT);
  const server = await serveLoopback({ "/dist/": "dist", "/test/": "test" }, { "/": PAGE });
  const browser = await chromium.launch({ executablePath: executablePath!, args: ARGS });
  try {
    const page = await browser.newPage();
    await page.goto(server.origin);
    const handle = await page.waitForFunction("globalThis.read", undefined, { timeout: 60_000 });
    const inBrowser = (await handle.jsonValue()) as Record<string, Processed>;
    for (const file of FILES) {
      const video = new Uint8Array(readFileSync(`${MOVIES}/${file}`));
      const inNode = await processor.process([{ role: "user", content: [{ type: "video", video }] }]);
      const { inputIds, videoGridThw, pixels } = inBrowser[file]!;
      assert.equal(inputIds, inNode.inputIds, file);
      assert.equal(videoGridThw, inNode.videoGridThw, file);
      if (EXACT.includes(file)) assert.equal(pixels, [...inNode.pixelValuesVideos], file);
    }
  } finally {
    await browser.close();
    server.close();
  }
});

test.run();
