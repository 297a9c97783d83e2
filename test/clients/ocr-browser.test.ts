/** Documents in a real browser: a PDF by PDFium and regions by onnxruntime-web, in the page of a user. */
import { readFileSync } from "node:fs";
import { chromium } from "playwright-core";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { decodeImage } from "../../src/media/decode-image.ts";
import { ARGS, findChromium } from "../browser/chromium.ts";
import { serveLoopback } from "../browser/loopback.ts";
import { picturePdf } from "../documents/pdf-files.ts";

const READ = `
globalThis.read = async (pdf) => {
  const { loadModel } = await import("/dist/edge.js");
  const { readDocument } = await import("/dist/ocr-edge.js");
  const model = await loadModel(location.origin + "/examples/demo/checkpoint", { threads: 1 });
  try {
    const bytes = Uint8Array.from(pdf);
    const pdfium = "/pdfium/pdfium.wasm";
    const pages = await readDocument(model, [new Blob([bytes]), "/examples/demo/pictures/numbers.png"], { dpi: 72, pdfium }).result;
    const { code, message } = await readDocument(model, bytes).result.catch((error) => error);
    const layout = { regions: async () => [{ name: "image", use: "skip", score: 1, corners: [0, 0, 28, 28] }], dispose: async () => {} };
    const cut = await readDocument(model, "/examples/demo/pictures/hello.png", { layout }).result;
    return [pages.markdown, code, message, cut.markdown, cut.pages[0].images[0].png[1]];
  } finally {
    await model.dispose();
  }
};`;

const executablePath = findChromium();
if (executablePath === undefined) {
  console.log("skipped: no Chromium (Debian: apt-get install chromium, or set GLIMT_CHROMIUM)");
}
const inChromium = executablePath === undefined ? test.skip : test;

inChromium("Chromium: a PDF and a picture, what is missing in words, a picture cut out", async () => {
  const pdfium = "test/clients/node_modules/@embedpdf/pdfium/dist";
  const folders = { "/dist/": "dist", "/examples/": "examples", "/pdfium/": pdfium };
  const own = await serveLoopback(folders, { "/": `<!doctype html><script>${READ}</script>` });
  const browser = await chromium.launch({ executablePath: executablePath as string, args: ARGS });
  try {
    const pictures = ["hello", "lines"].map((name) =>
      decodeImage(readFileSync(`examples/demo/pictures/${name}.png`)),
    );
    const pdf = picturePdf(await Promise.all(pictures));
    const page = await browser.newPage();
    await page.goto(own.origin);
    const [markdown, code, message, cut, letter] = await page.evaluate(
      (bytes) => (globalThis as unknown as { read(pdf: number[]): Promise<unknown[]> }).read(bytes),
      Array.from(pdf),
    );
    assert.is(
      markdown,
      "Hello world\n\n---\n\nThe quick\nbrown fox\njumps over\n\n---\n\n#48213 17:05\n92% 7304",
    );
    assert.is(code, "CODEC_UNAVAILABLE");
    assert.match(message as string, /npm i @embedpdf\/pdfium, and give the address of its file pdfium\.wasm/);
    assert.is(cut, "![Image 0-0](imgs/page0_idx0.png)");
    assert.is(letter, "P".charCodeAt(0));
  } finally {
    await browser.close();
    own.close();
  }
});

test.run();
