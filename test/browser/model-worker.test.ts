/** Models of a page live in a worker: what the page's own thread does meanwhile, aborts, several models, a worker that ends. */
import { type Browser, chromium, type Page } from "playwright-core";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { CHECKPOINT, PICTURE } from "./answer.mjs";
import { ARGS, findChromium } from "./chromium.ts";
import { type Loopback, serveLoopback } from "./loopback.ts";
import { LONG_MS, longestPageTask } from "./page-tasks.ts";

/** Workers can be reached from tests: `workers` has those that the page has started. */
const PAGE = `<!doctype html><link rel="icon" href="data:,"><div id="drop" style="height: 99px">drop</div>
<script type="module">
globalThis.workers = [];
globalThis.Worker = class extends Worker {
  constructor(...args) { super(...args); workers.push(this); }
};
globalThis.load = (options) => glimt.loadModel("/${CHECKPOINT}", options);
globalThis.content = (image) => [{ role: "user", content: [{ type: "image", image }, { type: "text", text: "Text Recognition:" }] }];
globalThis.codeOf = (promise) => promise.then(() => "none", ({ code, message }) => code + ": " + message);
globalThis.dropped = new Promise((resolve) => {
  const drop = document.getElementById("drop");
  drop.ondragover = (event) => event.preventDefault();
  drop.ondrop = (event) => { event.preventDefault(); resolve(event.dataTransfer.files[0]); };
});
globalThis.glimt = await import(new URLSearchParams(location.search).get("entry") ?? "/dist/edge.js");
</script>`;

const executablePath = findChromium();
if (executablePath === undefined) {
  console.log("skipped: no Chromium (Debian: apt-get install chromium, or set GLIMT_CHROMIUM)");
}
const inChromium = executablePath === undefined ? test.skip : test;

let browser: Browser;
let server: Loopback;
test.before(async () => {
  if (executablePath === undefined) return;
  server = await serveLoopback(
    { "/dist/": "dist", "/examples/": "examples" },
    { "/": PAGE, "/deep/inside/": PAGE },
  );
  browser = await chromium.launch({ executablePath, args: ARGS });
});
test.after(async () => {
  await browser?.close();
  server?.close();
});

/** What a script of the page's answers. */
async function inPage<T>(script: string, address = "/"): Promise<T> {
  const page = await browser.newPage();
  try {
    return await onPage<T>(page, script, address);
  } finally {
    await page.close();
  }
}

async function onPage<T>(page: Page, script: string, address = "/"): Promise<T> {
  await page.goto(server.origin + address);
  await page.waitForFunction("globalThis.glimt");
  return onThisPage<T>(page, script);
}

async function onThisPage<T>(page: Page, script: string): Promise<T> {
  // As text: a bundler would resolve imports.
  return (await page.evaluate(`(async () => { ${script} })()`)) as T;
}

inChromium(
  "the page has no long task while the model loads and answers about a dropped picture",
  async () => {
    const page = await browser.newPage();
    await onPage(page, "");
    const drop = async () => {
      await onThisPage(
        page,
        `globalThis.asked = (async () => {
         const model = await load();
         const file = await dropped;
         let text = "";
         for await (const event of model.generate(content(file), { maxTokens: 24 })) text += event.text;
         await model.dispose();
         return { text, name: file.name };
       })();
       const bytes = await (await fetch("/${PICTURE}")).blob();
       const dataTransfer = new DataTransfer();
       dataTransfer.items.add(new File([bytes], "hello.png", { type: "image/png" }));
       document.getElementById("drop").dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));`,
      );
      assert.equal(await page.evaluate("asked"), { text: "Hello world", name: "hello.png" });
    };
    const longest = await longestPageTask(browser, page, drop);
    assert.ok(longest <= LONG_MS, `a task of ${longest} ms`);
    await page.close();
  },
);

inChromium("nor while pixels of forty megapixels go to the worker", async () => {
  const page = await browser.newPage();
  await onPage(
    page,
    `globalThis.model = await load();
     globalThis.pixels = new ImageData(8000, 5000);
     pixels.data.fill(255);`,
  );
  const longest = await longestPageTask(browser, page, async () => {
    assert.is(await onThisPage(page, "return (await model.process(content(pixels))).media.length;"), 1);
  });
  assert.ok(longest <= LONG_MS, `a task of ${longest} ms`);
  await page.close();
});

inChromium("a task that is long is seen", async () => {
  const page = await browser.newPage();
  await onPage(page, "");
  // Of work, not of time, since it is the processor's time that is looked at.
  const work =
    "let sum = 0; do for (let i = 0; i < 1e9; i++) sum = (sum + i * i) % 9973; while (sum < 0); return sum;";
  assert.ok((await longestPageTask(browser, page, () => onThisPage(page, work))) > LONG_MS);
  await page.close();
});

inChromium("one worker for two models, which ends with the last of them", async () => {
  const found = await inPage<{ same: boolean; workers: number[]; answers: string[] }>(
    `const [one, two] = await Promise.all([load(), load({ dtype: "q8" })]);
     const before = workers.length;
     const ask = (model) => model.complete(content("/${PICTURE}"), { maxTokens: 24 });
     const answers = (await Promise.all([ask(one), ask(two)])).map(({ text }) => text);
     await one.dispose();
     answers.push((await ask(two)).text);
     await two.dispose();
     const third = await load();
     answers.push((await ask(third)).text, await codeOf(ask(one)));
     await third.dispose();
     return { workers: [before, workers.length], answers };`,
  );
  const hello = "Hello world";
  assert.equal(found.answers, [
    hello,
    hello,
    hello,
    hello,
    "DISPOSED: The model was disposed; load it again to use it.",
  ]);
  assert.equal(found.workers, [1, 2]);
});

inChromium("an abort in the middle of an answer ends it, and its memory is free", async () => {
  const found = await inPage<{ code: string; running: number[]; text: string }>(
    `const model = await load();
     const control = new AbortController();
     const run = model.generate(content("/${PICTURE}"), { maxTokens: 2000, ignoreEos: true, signal: control.signal });
     await run.next();
     const running = [model.stats().running];
     control.abort();
     const code = await codeOf((async () => { for await (const _ of run); })());
     for await (const _ of model.generate(content("/${PICTURE}"), { maxTokens: 2000, ignoreEos: true })) break;
     // What was given up leaves behind the step that runs.
     while (model.stats().running + model.stats().waiting > 0) await new Promise((resolve) => setTimeout(resolve, 10));
     running.push(model.stats().running);
     const { text } = await model.complete(content("/${PICTURE}"), { maxTokens: 24 });
     await model.dispose();
     return { code, running, text };`,
  );
  assert.equal(found, {
    code: "ABORTED: The operation was aborted.",
    running: [1, 0],
    text: "Hello world",
  });
});

inChromium(
  "a worker that ends is one error for all that is under way, and the next model has another",
  async () => {
    const found = await inPage<{ codes: string[]; liveBytes: number; text: string }>(
      `const model = await load();
     const run = model.generate(content("/${PICTURE}"), { maxTokens: 2000, ignoreEos: true });
     await run.next();
     const under = [codeOf((async () => { for await (const _ of run); })()), codeOf(model.complete(content("/${PICTURE}"), { maxTokens: 2000, ignoreEos: true }))];
     workers[0].terminate();
     workers[0].onerror(new ErrorEvent("error", { message: "out of memory" }));
     const codes = await Promise.all(under);
     codes.push(await codeOf(model.plan({ text: "?" })));
     await model.dispose();
     const again = await load();
     const { text } = await again.complete(content("/${PICTURE}"), { maxTokens: 24 });
     await again.dispose();
     return { codes, liveBytes: model.liveBytes, text };`,
    );
    for (const code of found.codes)
      assert.match(code, /^DEVICE_FAILED: .*out of memory.*load the model again/);
    assert.is(found.codes.length, 3);
    assert.is(found.liveBytes, 0);
    assert.is(found.text, "Hello world");
  },
);

inChromium("addresses are relative to the page", async () => {
  const found = await inPage<string[]>(
    `const up = "../../";
     const model = await glimt.loadModel(up + "${CHECKPOINT}");
     const ask = async (image) => (await model.complete(content(image), { maxTokens: 24 })).text;
     const blob = await (await fetch(up + "${PICTURE}")).blob();
     const image = new Image();
     image.src = URL.createObjectURL(blob);
     await image.decode();
     const canvas = new OffscreenCanvas(image.width, image.height).getContext("2d");
     canvas.drawImage(image, 0, 0);
     const pixels = canvas.getImageData(0, 0, image.width, image.height);
     const answers = [await ask(up + "${PICTURE}"), await ask(new URL(up + "${PICTURE}", location)), await ask(image.src), await ask(pixels)];
     const here = await load({ worker: false });
     answers.push(pixels.data.length > 0, await codeOf(model.complete(content(image))), await codeOf(here.complete(content(image))));
     await Promise.all([model.dispose(), here.dispose()]);
     return answers;`,
    "/deep/inside/",
  );
  assert.equal(found.slice(0, 5), ["Hello world", "Hello world", "Hello world", "Hello world", true]);
  assert.match(String(found[5]), /^IMAGE_INVALID: /);
  assert.is(found[5], found[6], "an element of the page is refused as on its own thread");
});

inChromium("on the page's own thread where it is asked for", async () => {
  const found = await inPage<unknown[]>(
    `const model = await load({ worker: false, fetch: (...asked) => fetch(...asked) });
     const { text } = await model.complete(content("/${PICTURE}"), { maxTokens: 24 });
     await model.dispose();
     return [text, await codeOf(load({ fetch })), await codeOf(load({ worker: 1 }))];`,
  );
  assert.is(found[0], "Hello world");
  assert.match(String(found[1]), /^OPTION_INVALID: fetch can not go to the worker.*worker: false/);
  assert.match(String(found[2]), /^OPTION_INVALID: worker is 1, expected true or false/);
});

test.run();
