/** The edge build in a real browser: the demo checkpoint over HTTP ranges gives Node's tokens. */
import { chromium } from "playwright-core";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type Answer, CHECKPOINT, PICTURE } from "./answer.mjs";
import { ARGS, findChromium } from "./chromium.ts";
import { serveLoopback } from "./loopback.ts";
import { answerInNode } from "./node-answer.ts";

const FOLDERS = { "/dist/": "dist", "/examples/": "examples", "/test/": "test/browser" };
const PAGE = `<!doctype html><link rel="icon" href="data:,"><script type="module">
import { loadModel } from "/dist/edge.js";
import { answer } from "/test/answer.mjs";
const picture = await (await fetch("/${PICTURE}")).blob();
globalThis.answer = answer(loadModel, "/${CHECKPOINT}", picture);
</script>`;

const executablePath = findChromium();
if (executablePath === undefined) {
  console.log("skipped: no Chromium (Debian: apt-get install chromium, or set GLIMT_CHROMIUM)");
}
const inChromium = executablePath === undefined ? test.skip : test;

inChromium("the edge build answers in Chromium as in Node", async () => {
  const expected = await answerInNode();
  const server = await serveLoopback(FOLDERS, { "/": PAGE });
  // Playwright gives every launch a fresh profile.
  const browser = await chromium.launch({ executablePath: executablePath!, args: ARGS });
  try {
    const page = await browser.newPage();
    const errors: string[] = [];
    page.on("pageerror", (error) => errors.push(error.message));
    const hosts = new Set<string>();
    page.on("request", (request) => hosts.add(new URL(request.url()).origin));
    await page.goto(server.origin);
    const handle = page.waitForFunction("globalThis.answer", undefined, { timeout: 60_000 });
    const answer = (await (await handle).jsonValue()) as Answer;

    assert.equal(answer, expected);
    assert.is(answer.text, "Hello world");
    assert.is(answer.json.row, 1);
    assert.is(answer.calls.length, 1);
    assert.ok(answer.calls[0]!.arguments.row <= 9);
    assert.equal(errors, []);
    hosts.delete("null");
    assert.equal([...hosts], [server.origin]);
    const weights = server.requests.filter(({ path }) => path === `/${CHECKPOINT}/model.safetensors`);
    assert.ok(
      weights.some(({ range }) => range !== undefined),
      "the weights were read in ranges",
    );
  } finally {
    await browser.close();
    server.close();
  }
});

test.run();
