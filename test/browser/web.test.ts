/** The page of examples/web in a real browser, over the built package (dist): what a visitor does, sees and is told. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { RequestListener } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type Browser, chromium, type Page } from "playwright-core";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { percent } from "../../src/views/markup.ts";
import { COMMIT, withHub } from "../checkpoint/hub-server.ts";
import { withServer } from "../checkpoint/server.ts";
import { bitmap } from "../media/bitmap.ts";
import { ARGS, findChromium } from "./chromium.ts";
import { LONG_MS, longestPageTask } from "./page-tasks.ts";

const PICTURES = "examples/demo/pictures";
const MOVIE = "test/golden/data/movies/vp9.webm";
const TIMEOUT = 60_000;

const executablePath = findChromium();
if (executablePath === undefined) {
  console.log("skipped: no Chromium (Debian: apt-get install chromium, or set GLIMT_CHROMIUM)");
}
const inChromium = executablePath === undefined ? test.skip : test;

let browser: Browser;
let server: { readonly origin: string; close(): void };
test.before(async () => {
  if (executablePath === undefined) return;
  // Computed addresses: what they import finds its files by its own place.
  const { buildWeb } = await import(pathToFileURL("examples/web/build.mjs").href);
  const { serveWeb } = await import(pathToFileURL("examples/web/serve.mjs").href);
  await buildWeb();
  server = await serveWeb(0);
  browser = await chromium.launch({ executablePath, args: ARGS });
});
test.after(async () => {
  await browser?.close();
  server?.close();
});

/** On a fresh page; nothing may be said in its console, and nothing break its policy. */
async function onPage(use: (page: Page) => Promise<void>, { silent = true } = {}): Promise<void> {
  const page = await browser.newPage();
  page.setDefaultTimeout(TIMEOUT);
  const said: string[] = [];
  page.on("console", (message) => said.push(message.text()));
  page.on("pageerror", ({ message }) => said.push(message));
  try {
    await use(page);
    if (silent) assert.equal(said, []);
  } finally {
    await page.close();
  }
}

/** Opens the page, and waits for what it reads first: its sample. */
async function open(page: Page): Promise<void> {
  await page.goto(server.origin);
  await page.locator("#figures div").first().waitFor();
}

const textOf = (page: Page, id: string) => page.locator(`#${id}`).textContent();
/** What is told to those who listen, which is the answer when it is whole. */
const heard = (page: Page, text: string) =>
  page.locator("#announcer", { hasText: text }).waitFor({ state: "attached" });
const picture = (name: string) => readFileSync(`${PICTURES}/${name}`);

/** Dispatches an event with a file, as dropping and pasting give it. */
async function give(
  page: Page,
  how: "drop" | "paste",
  name: string,
  type: string,
  bytes: Uint8Array,
): Promise<void> {
  const event =
    how === "drop"
      ? "new DragEvent('drop', { dataTransfer: data"
      : "new ClipboardEvent('paste', { clipboardData: data";
  await page.evaluate(`{
    const data = new DataTransfer();
    data.items.add(new File([Uint8Array.from(${JSON.stringify([...bytes])})], ${JSON.stringify(name)}, { type: "${type}" }));
    document.getElementById("viewer").dispatchEvent(${event}, bubbles: true, cancelable: true }));
  }`);
}

/** Rows of the figures about what the model sees. */
async function facts(page: Page): Promise<Readonly<Record<string, string>>> {
  const rows = await page
    .locator("#facts div")
    .evaluateAll((found) =>
      found.map((row) => [row.children[0]?.textContent ?? "", row.children[1]?.textContent ?? ""]),
    );
  return Object.fromEntries(rows);
}

inChromium("a dropped picture is answered; what the model sees of it is what the processor says", () =>
  onPage(async (page) => {
    await open(page);
    await give(page, "drop", "hello.png", "image/png", picture("hello.png"));
    await heard(page, "Hello world");
    assert.is(await textOf(page, "answer"), "Hello world");

    const { openProcessor } = await import(pathToFileURL("dist/index.js").href);
    const processor = await openProcessor("examples/demo/checkpoint");
    const content = [
      { type: "image", image: `${PICTURES}/hello.png` },
      { type: "text", text: "Text Recognition:" },
    ];
    const { imageGridThw, promptTokens } = await processor.process([{ role: "user", content }]);
    const [, h, w] = imageGridThw[0];
    const seen = await facts(page);
    assert.is(seen["Picture seen"], `${14 * w} × ${14 * h} px`);
    assert.is(seen.Patches, `${h * w} of 14 px`);
    assert.is(seen["Tokens of the picture"], `${(h * w) / 4} (${h / 2} × ${w / 2})`);
    assert.is(seen["Whole prompt"], `${promptTokens} tokens`);
    const size = await page
      .locator("#seen")
      .evaluate((canvas: HTMLCanvasElement) => [canvas.width, canvas.height]);
    assert.equal(size, [14 * w, 14 * h]);
    assert.is(await page.locator("#grid svg").getAttribute("viewBox"), `0 0 ${14 * w} ${14 * h}`);

    const figures = await page.locator("#figures dt").allTextContents();
    assert.equal(figures, ["First token", "Speed", "Vision", "Prompt"]);
    assert.match((await textOf(page, "backend")) ?? "", /^WebAssembly .*threads/);
  }),
);

inChromium("where a token of the answer looks is shown over the picture, as Node computes it", () =>
  onPage(async (page) => {
    await open(page);
    await page.getByLabel("Sample: Two words").click();
    await heard(page, "Hello world");
    assert.ok(await page.locator("#attention").isVisible(), "that of the whole answer, when none is chosen");
    await page.locator("#answer").focus();
    await page.keyboard.press("ArrowRight");
    await page.locator("#token-detail", { hasText: "Token 1 " }).waitFor();
    const strength = () =>
      page.locator("#attention").evaluate((canvas: HTMLCanvasElement) => {
        // A copy of its own, since Chromium warns of canvases that are read again and again.
        const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d")!;
        copy.drawImage(canvas, 0, 0);
        const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
        return data.filter((_, at) => at % 4 === 0).map(Number);
      });

    const { attentionOverMedia, loadModel } = await import(pathToFileURL("dist/index.js").href);
    const model = await loadModel("examples/demo/checkpoint", { attention: true });
    const content = [
      { type: "image", image: `${PICTURES}/hello.png` },
      { type: "text", text: "Text Recognition:" },
    ];
    const messages = [{ role: "user", content }];
    const inputs = await model.process(messages);
    const [first, second] = await attentions(model.generate(messages, { attention: true }));
    const place = (attention: Float32Array) => {
      const [{ weights }] = attentionOverMedia(inputs, attention);
      return weights.indexOf(Math.max(...weights));
    };
    const shown = Object.values(await strength());
    assert.is(shown.indexOf(Math.max(...shown)), place(first!));
    const share = attentionOverMedia(inputs, first)[0].weights.reduce((sum: number, w: number) => sum + w, 0);
    assert.match(
      (await textOf(page, "token-detail")) ?? "",
      new RegExp(`: ${percent(share)} of its attention`),
    );
    await page.keyboard.press("ArrowRight");
    await page.locator("#token-detail", { hasText: "Token 2 " }).waitFor();
    const next = Object.values(await strength());
    assert.is(next.indexOf(Math.max(...next)), place(second!));
    await page.getByLabel("Attention").uncheck();
    assert.ok(await page.locator("#attention").isHidden());
    await model.dispose();
  }),
);

async function attentions(run: AsyncIterable<{ readonly attention: Float32Array }>): Promise<Float32Array[]> {
  const found: Float32Array[] = [];
  for await (const { attention } of run) found.push(attention);
  return found;
}

inChromium("the pixels that are shown are the ones of the picture", () =>
  onPage(async (page) => {
    await open(page);
    // As large as the model wants it, so that nothing is resized.
    const png = await page.evaluate(`(async () => {
      const canvas = new OffscreenCanvas(140, 112);
      const context = canvas.getContext("2d");
      for (const [at, colour] of ["#ff0000", "#00ff00", "#1234ab", "#808080"].entries()) {
        context.fillStyle = colour;
        context.fillRect(35 * at, 0, 35, 112);
      }
      return [...new Uint8Array(await (await canvas.convertToBlob()).arrayBuffer())];
    })()`);
    await give(page, "drop", "stripes.png", "image/png", Uint8Array.from(png as number[]));
    await page.locator("#figures div").first().waitFor();
    const pixels = await page.locator("#seen").evaluate((canvas: HTMLCanvasElement) => {
      const { data } = canvas.getContext("2d")!.getImageData(0, 60, 140, 1);
      return [10, 50, 90, 130].map((x) => [...data.slice(4 * x, 4 * x + 4)]);
    });
    assert.equal(pixels, [
      [255, 0, 0, 255],
      [0, 255, 0, 255],
      [18, 52, 171, 255],
      [128, 128, 128, 255],
    ]);
  }),
);

inChromium("a pasted picture is answered; a preset is what is asked", () =>
  onPage(async (page) => {
    await open(page);
    await page.getByText("Table", { exact: true }).click();
    assert.is(await page.locator("#question").inputValue(), "Table Recognition:");
    await page.getByText("Read text", { exact: true }).click();
    await give(page, "paste", "image.png", "image/png", picture("numbers.png"));
    await heard(page, "#48213 17:05");
    assert.is(await textOf(page, "answer"), "#48213 17:05\n92% 7304");
  }),
);

inChromium("text that is pasted into the question goes there, though a picture of it comes along", () =>
  onPage(async (page) => {
    await open(page);
    const isTaken = await page.evaluate(`(() => {
      const data = new DataTransfer();
      data.setData("text/plain", "words");
      data.items.add(new File(["no picture"], "image.png", { type: "image/png" }));
      const event = new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true });
      return !document.getElementById("question").dispatchEvent(event);
    })()`);
    assert.is(isTaken, false);
    assert.is(await textOf(page, "answer"), "Tea 3.50\nTotal $12.75\n11/24/2026");
  }),
);

inChromium("Escape stops what runs, and the page goes on", () =>
  onPage(async (page) => {
    await open(page);
    // A megapixel of noise takes the tower seconds.
    await page.evaluate(`(async () => {
      const canvas = new OffscreenCanvas(1000, 1000);
      const context = canvas.getContext("2d");
      for (let at = 0; at < 900; at++) {
        context.fillStyle = "hsl(" + 37 * at + " 90% 50%)";
        context.fillRect(33 * (at % 30), 33 * Math.floor(at / 30), 33, 33);
      }
      const data = new DataTransfer();
      data.items.add(new File([await canvas.convertToBlob()], "noise.png", { type: "image/png" }));
      document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
    })()`);
    await page.locator("#work-name", { hasText: "Looking at it" }).waitFor();
    await page.keyboard.press("Escape");
    await heard(page, "Stopped.");
    assert.ok(await page.locator("#stop").isHidden());
    assert.ok(await page.locator("#notice").isHidden(), "what was asked for is no error");
    await page.getByLabel("Sample: Two words").click();
    await heard(page, "Hello world");
  }),
);

inChromium("a stopped answer stays, and so does where it looked", () =>
  onPage(async (page) => {
    await open(page);
    await page.evaluate(`new Promise((resolve) => {
      new MutationObserver((_, observer) => {
        if (document.querySelectorAll(".token").length < 2) return;
        observer.disconnect();
        document.getElementById("stop").click();
        resolve();
      }).observe(document.getElementById("answer"), { childList: true });
      document.getElementById("form").requestSubmit();
    })`);
    assert.match((await textOf(page, "announcer")) ?? "", /^Stopped\. ./);
    assert.ok(await page.locator("#copy").isVisible());
    assert.match((await textOf(page, "token-detail")) ?? "", /^Point at a token/);
  }),
);

inChromium("a long answer is followed as it comes", () =>
  onPage(async (page) => {
    await open(page);
    const scrolled = await page.evaluate(`(async () => {
      const box = document.getElementById("answer");
      box.style.maxHeight = "60px";
      document.getElementById("form").requestSubmit();
      while (!document.getElementById("announcer").textContent) await new Promise(requestAnimationFrame);
      await new Promise(requestAnimationFrame);
      return box.scrollHeight - box.scrollTop - box.clientHeight;
    })()`);
    assert.ok(Math.abs(scrolled as number) < 2, `${scrolled} pixels from its end`);
  }),
);

inChromium("a visitor's picture stays when the page's own sample comes late", () =>
  onPage(async (page) => {
    await page.addInitScript(`
      const own = fetch;
      globalThis.fetch = (address, ...rest) => String(address).includes("pictures/")
        ? new Promise((resolve) => { globalThis.sendSample = () => resolve(own(address, ...rest)); })
        : own(address, ...rest);`);
    await page.goto(server.origin);
    await give(page, "drop", "hello.png", "image/png", picture("hello.png"));
    await heard(page, "Hello world");
    await page.evaluate(
      "(async () => { sendSample(); await new Promise((resolve) => setTimeout(resolve, 300)); })()",
    );
    assert.is(await page.locator("#preview").getAttribute("alt"), "hello.png");
    assert.is(await textOf(page, "answer"), "Hello world");
  }),
);

inChromium("a question without a model says so", () =>
  onPage(async (page) => {
    await open(page);
    await page.locator("#model-button").click();
    await page.evaluate(
      `document.getElementById("use-demo").click(); document.getElementById("work-cancel").click();`,
    );
    await page.locator("#model-state", { hasText: "not loaded" }).waitFor();
    await page.locator("#submit").click();
    await page.locator("#notice", { hasText: "No model is loaded" }).waitFor();
  }),
);

inChromium("offline, what is not here is said in words", () =>
  onPage(
    async (page) => {
      await open(page);
      const webp = await page.evaluate(`(async () => {
        const canvas = new OffscreenCanvas(112, 56);
        canvas.getContext("2d");
        return [...new Uint8Array(await (await canvas.convertToBlob({ type: "image/webp" })).arrayBuffer())];
      })()`);
      const failures: string[] = [];
      page.on("pageerror", ({ message }) => failures.push(message));
      await page.context().setOffline(true);
      await page.getByLabel("Sample: Numbers").click();
      await page.locator("#notice", { hasText: "The sample can not be reached" }).waitFor();
      await give(page, "drop", "a.webp", "image/webp", Uint8Array.from(webp as number[]));
      await page.locator("#notice", { hasText: "You are offline" }).waitFor();
      assert.equal(failures, []);
    },
    { silent: false },
  ),
);

inChromium("an address that the page's policy bars is refused before it is asked", () =>
  onPage(async (page) => {
    await open(page);
    await chooseModel(page, "http://192.0.2.1/model/");
    await page.locator("#notice", { hasText: "no servers by plain http" }).waitFor();
    assert.match((await textOf(page, "model-button")) ?? "", /ready/);
  }),
);

inChromium("the frames of a video that were taken are shown, with their times", () =>
  onPage(async (page) => {
    await open(page);
    await page.setInputFiles("#file", MOVIE);
    await page.locator("#facts dt", { hasText: "Frames taken" }).waitFor();
    const [taken] = ((await facts(page))["Frames taken"] ?? "").split(" of ").map(Number);
    assert.ok(taken !== undefined && taken >= 2);
    const frames = page.locator(".taken");
    assert.is(await frames.count(), taken);
    assert.match((await frames.first().textContent()) ?? "", /^0\.0 s$/);
    await frames.last().click();
    await page.locator("#frame-name", { hasText: `Frame ${taken / 2} of ${taken / 2}` }).waitFor();
  }),
);

inChromium("what is no picture is said in words, before and after it was read", () =>
  onPage(async (page) => {
    await open(page);
    await give(page, "drop", "notes.txt", "text/plain", Buffer.from("hello"));
    await page.locator("#notice", { hasText: "neither a picture nor a video" }).waitFor();
    await give(page, "drop", "broken.png", "image/png", Buffer.from("no picture at all"));
    await page.locator("#notice", { hasText: "not a picture that can be read" }).waitFor();
    assert.match((await page.locator("#notice small").textContent()) ?? "", /^IMAGE_INVALID: /);
    assert.ok(await page.locator("#sees").isHidden(), "nothing is shown of the picture before");
    assert.ok(await page.locator("#empty", { hasText: "broken.png" }).isVisible());
    await page.getByLabel("Sample: Two words").click();
    await heard(page, "Hello world");
    assert.ok(await page.locator("#notice").isHidden());
  }),
);

/** Fills in the dialog for a model by name or address. */
async function chooseModel(page: Page, name: string, endpoint?: string): Promise<void> {
  await page.locator("#model-button").click();
  if (endpoint !== undefined) {
    await page.locator("#model-dialog details").evaluate((details: HTMLDetailsElement) => {
      details.open = true;
    });
    await page.locator("#hub-endpoint").fill(endpoint);
  }
  await page.locator("#hub-name").fill(name);
  await page.locator("#hub-form button").click();
}

const demoFiles = () =>
  new Map(
    [
      ...[
        "config.json",
        "generation_config.json",
        "preprocessor_config.json",
        "video_preprocessor_config.json",
      ],
      ...["tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "model.safetensors"],
    ].map((name) => [name, new Uint8Array(readFileSync(`examples/demo/checkpoint/${name}`))]),
  );

inChromium(
  "a model of the Hub is loaded and kept; one that is not there, and a Hub that is not, are told apart",
  () =>
    withHub({ "glimt/demo": { files: demoFiles(), commit: COMMIT } }, (hub) =>
      // The browser itself says in the console what was not found.
      onPage(
        async (page) => {
          await open(page);
          await chooseModel(page, "glimt/nothing", hub.endpoint);
          await page.locator("#notice", { hasText: "There is no such model" }).waitFor();
          await page.getByRole("button", { name: "Choose a model" }).click();
          await page.locator("#hub-name").fill("glimt/demo");
          await page.locator("#hub-form button").click();
          await page.locator("#model-button", { hasText: /glimt.demo\s+ready/ }).waitFor();
          await page.getByLabel("Sample: Two words").click();
          await heard(page, "Hello world");
          await page.locator("#model-button").click();
          await page.locator("#cached li", { hasText: "glimt/demo" }).waitFor();
          await page.keyboard.press("Escape");
          await chooseModel(page, "glimt/other", "http://127.0.0.1:9");
          await page.locator("#notice", { hasText: "The server can not be reached" }).waitFor();
        },
        { silent: false },
      ),
    ),
);

const LARGE = 1_200_000_000;

/** The demo checkpoint, with weights that are as large as a real one's: of them only the head is there. */
function withLargeWeights(files: ReadonlyMap<string, Uint8Array>): RequestListener {
  const header = JSON.stringify({ weight: { dtype: "U8", shape: [LARGE], data_offsets: [0, LARGE] } });
  const head = Buffer.alloc(8 + header.length);
  head.writeBigUInt64LE(BigInt(header.length));
  head.write(header, 8);
  return (request, response) => {
    const name = (request.url ?? "").replace(/^\/+/, "");
    response.setHeader("access-control-allow-origin", "*");
    response.setHeader("access-control-allow-headers", "range");
    response.setHeader("access-control-expose-headers", "content-range, content-length");
    if (request.method === "OPTIONS") return void response.writeHead(204).end();
    const isLarge = name === "model.safetensors";
    const file = isLarge ? head : files.get(name);
    if (file === undefined) return void response.writeHead(404).end();
    const size = isLarge ? head.length + LARGE : file.length;
    const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "") ?? [];
    if (from === undefined) {
      response.writeHead(200, { "content-length": size, "accept-ranges": "bytes" });
      return void (request.method === "HEAD" ? response.end() : response.end(file));
    }
    const end = Math.min(to ? Number(to) : size - 1, size - 1);
    const body = Buffer.alloc(end + 1 - Number(from));
    body.set(file.subarray(Number(from), end + 1));
    response.writeHead(206, {
      "content-range": `bytes ${from}-${end}/${size}`,
      "content-length": body.length,
    });
    return void response.end(body);
  };
}

inChromium("a download of more than a gigabyte is asked about, with its size", () =>
  withServer(withLargeWeights(demoFiles()), (url) =>
    onPage(
      async (page) => {
        await open(page);
        await chooseModel(page, url);
        await page.locator("#confirm-download", { hasText: "Download 1.20 GB" }).waitFor();
        await page.locator("#confirm-back").click();
        await page.locator("#use-demo").click();
        await page.locator("#model-state", { hasText: "ready" }).waitFor();
      },
      { silent: false },
    ),
  ),
);

inChromium("a folder of the visitor's is loaded", () =>
  onPage(async (page) => {
    await open(page);
    await page.locator("#model-button").click();
    await page.setInputFiles("#folder", "examples/demo/checkpoint");
    await page.locator("#model-button", { hasText: /checkpoint\s+ready/ }).waitFor();
    await heard(page, "Total");
  }),
);

inChromium("a worker that ends is said in words, and the model is loaded again", () =>
  onPage(
    async (page) => {
      await page.addInitScript(`
        globalThis.workers = [];
        globalThis.Worker = class extends Worker {
          constructor(...args) { super(...args); workers.push(this); }
        };`);
      await open(page);
      await page.evaluate(`workers[0].terminate();
        workers[0].onerror(new ErrorEvent("error", { message: "out of memory" }));`);
      await page.locator("#submit").click();
      await page.locator("#notice", { hasText: "The model stopped working" }).waitFor();
      await page.getByRole("button", { name: "Load again" }).click();
      await heard(page, "Total");
    },
    { silent: false },
  ),
);

inChromium("a browser without a camera says so when it is asked for one", () =>
  onPage(async (page) => {
    await open(page);
    await page.locator("#camera").click();
    await page.locator("#notice", { hasText: /camera/i }).waitFor();
  }),
);

inChromium("the page has no long task while it loads and answers about a dropped picture", () =>
  onPage(async (page) => {
    const longest = await longestPageTask(browser, page, async () => {
      await open(page);
      await give(page, "drop", "hello.png", "image/png", picture("hello.png"));
      await heard(page, "Hello world");
    });
    assert.ok(longest <= LONG_MS, `a task of ${longest} ms`);
  }),
);

inChromium("nor about a picture of twelve megapixels", () =>
  onPage(async (page) => {
    await open(page);
    const folder = mkdtempSync(join(tmpdir(), "glimt-web-"));
    try {
      writeFileSync(join(folder, "large.bmp"), bitmap(4000, 3000));
      const longest = await longestPageTask(browser, page, async () => {
        await page.setInputFiles("#file", join(folder, "large.bmp"));
        await page.locator("#facts dd", { hasText: "4000 × 3000 px" }).waitFor();
        await page.locator("#seen").waitFor();
        await page.keyboard.press("Escape");
        await heard(page, "Stopped.");
      });
      assert.ok(longest <= LONG_MS, `a task of ${longest} ms`);
    } finally {
      rmSync(folder, { recursive: true });
    }
  }),
);

inChromium("a picture of the camera is answered, and the camera is let go", async () => {
  const args = [...ARGS, "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"];
  const withCamera = await chromium.launch({ executablePath: executablePath!, args });
  try {
    const page = await withCamera.newPage();
    page.setDefaultTimeout(TIMEOUT);
    await open(page);
    await page.locator("#camera").click();
    await page.waitForFunction(() => document.querySelector("video")!.videoWidth > 0);
    await page.locator("#camera-take").click();
    await page.locator("#preview[alt='camera picture']").waitFor({ state: "attached" });
    assert.is(await page.locator("#camera-view").evaluate((view: HTMLVideoElement) => view.srcObject), null);
    await page.locator("#facts dt", { hasText: "Picture given" }).waitFor();
  } finally {
    await withCamera.close();
  }
});

for (const width of [375, 1280]) {
  inChromium(`nothing is wider than a screen of ${width} pixels`, () =>
    onPage(async (page) => {
      await page.setViewportSize({ width, height: 800 });
      await open(page);
      assert.is(await page.evaluate("document.documentElement.scrollWidth"), width);
    }),
  );
}

test.run();
