/** `glimt/ai` on a page, over a model that lives in a worker. */
import { chromium } from "playwright-core";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { CHECKPOINT, PICTURE } from "./answer.mjs";
import { ARGS, findChromium } from "./chromium.ts";
import { serveLoopback } from "./loopback.ts";

const PAGE = `<!doctype html><link rel="icon" href="data:,"><script type="module">
import { loadModel } from "/dist/edge.js";
import { languageModel } from "/dist/ai.js";
globalThis.found = (async () => {
  const model = await loadModel("/${CHECKPOINT}");
  const data = new Uint8Array(await (await fetch("/${PICTURE}")).arrayBuffer());
  const content = [
    { type: "file", mediaType: "image/png", data: { type: "data", data } },
    { type: "text", text: "Text Recognition:" },
  ];
  const options = { prompt: [{ role: "user", content }], maxOutputTokens: 24 };
  const { stream } = await languageModel(model).doStream(options);
  let text = "";
  for await (const part of stream) if (part.type === "text-delta") text += part.delta;
  const whole = (await languageModel(model).doGenerate(options)).content.map(({ text }) => text);
  const isHere = /On the thread that loaded it/.test(model.backend.limits.join());
  await model.dispose();
  return JSON.stringify([text, whole, isHere]);
})().catch((error) => String(error.stack));
</script>`;

const executablePath = findChromium();
if (executablePath === undefined) {
  console.log("skipped: no Chromium (Debian: apt-get install chromium, or set GLIMT_CHROMIUM)");
}
const inChromium = executablePath === undefined ? test.skip : test;

inChromium("streams and whole answers about a picture", async () => {
  const server = await serveLoopback({ "/dist/": "dist", "/examples/": "examples" }, { "/": PAGE });
  const browser = await chromium.launch({ executablePath: executablePath!, args: ARGS });
  try {
    const tab = await browser.newPage();
    await tab.goto(server.origin);
    const handle = await tab.waitForFunction("globalThis.found", undefined, { timeout: 60_000 });
    assert.is(await handle.jsonValue(), '["Hello world",["Hello world"],false]');
  } finally {
    await browser.close();
    server.close();
  }
});

test.run();
