/** Threads in a real browser: on a page that is cross-origin isolated, and none on one that is not; the same answers. */
import { chromium } from "playwright-core";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { ModelBackend } from "../../src/api/model.ts";
import { CHECKPOINT, PICTURE } from "./answer.mjs";
import { ARGS, findChromium } from "./chromium.ts";
import { serveLoopback } from "./loopback.ts";

const ISOLATED = {
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
};
/** The demo's question, and one with a picture that takes long enough to be shared. */
const PAGE = `<!doctype html><link rel="icon" href="data:,"><script type="module">
import { loadModel } from "/dist/edge.js";
const worker = location.pathname !== "/here";
const model = await loadModel("/${CHECKPOINT}", { worker });
const picture = await (await fetch("/${PICTURE}")).blob();
const data = Uint8Array.from({ length: 3 * 420 * 560 }, (_, index) => (index * 7919) % 251);
const pictures = [picture, { data, width: 560, height: 420 }];
const answers = [];
for (const image of pictures) {
  const content = [{ type: "image", image }, { type: "text", text: "Text Recognition:" }];
  answers.push([...(await model.complete([{ role: "user", content }], { maxTokens: 16 })).tokenIds]);
}
globalThis.found = { answers, backend: model.backend };
await model.dispose();
</script>`;

interface Found {
  readonly answers: readonly (readonly number[])[];
  readonly backend: ModelBackend;
  /** Files that workers were started from. */
  readonly workers: readonly string[];
}

const executablePath = findChromium();
if (executablePath === undefined) {
  console.log("skipped: no Chromium (Debian: apt-get install chromium, or set GLIMT_CHROMIUM)");
}
const inChromium = executablePath === undefined ? test.skip : test;

async function visit(headers: Readonly<Record<string, string>>, path = "/"): Promise<Found> {
  const folders = { "/dist/": "dist", "/examples/": "examples" };
  const server = await serveLoopback(folders, { "/": PAGE, "/here": PAGE }, headers);
  const browser = await chromium.launch({ executablePath: executablePath!, args: ARGS });
  try {
    const page = await browser.newPage();
    const errors: string[] = [];
    page.on("pageerror", (error) => errors.push(error.message));
    const workers: string[] = [];
    page.on("worker", (worker) => workers.push(worker.url().replace(server.origin, "")));
    await page.goto(server.origin + path);
    const handle = await page.waitForFunction("globalThis.found", undefined, { timeout: 120_000 });
    assert.equal(errors, []);
    return { ...((await handle.jsonValue()) as Omit<Found, "workers">), workers };
  } finally {
    await browser.close();
    server.close();
  }
}

inChromium("an isolated page has threads, another says why not; both answer the same", async () => {
  const together = await visit(ISOLATED);
  const alone = await visit({});
  const here = await visit(ISOLATED, "/here");
  for (const { answers } of [alone, here]) assert.equal(answers, together.answers);
  assert.is(alone.backend.threads, 1);
  assert.match(alone.backend.limits.join(), /One thread, since this page is not cross-origin isolated/);
  assert.equal(together.backend, here.backend);
  assert.ok((together.backend.threads ?? 0) <= 4);
  const kernels = ({ workers }: Found) => workers.filter((file) => file === "/dist/kernel-worker.js").length;
  const { threads = 1 } = here.backend;
  assert.is(kernels(here), threads > 1 ? threads : 0, "each thread has the kernels' small file");
  assert.is(kernels(alone), 0);
  for (const { workers } of [together, alone]) assert.is(workers[0], "/dist/worker.js");
  assert.match(together.backend.description, /^WebAssembly .*, \d+ threads?$/);
  assert.not.match(together.backend.limits.join(), /thread/);
  console.log([together, alone].map(({ backend }) => backend.description).join("; "));
});

test.run();
