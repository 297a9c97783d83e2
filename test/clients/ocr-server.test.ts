/** Documents over HTTP, in the shapes of GLM-OCR's own server and of its vendor's cloud. */
import { readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { LayoutModel } from "../../src/documents/layout/layout-model.ts";
import type { Model } from "../../src/index.ts";
import { decodeImage } from "../../src/media/decode-image.ts";
import { readDocument } from "../../src/ocr.ts";
import { createServer, type GlimtServer } from "../../src/server/server.ts";
import { picturePdf } from "../documents/pdf-files.ts";
import { loadDemo, pictureUrl, post } from "../server/demo.ts";

let model: Model;
let server: GlimtServer;
let pdf: Uint8Array;
/** At 200 dpi a page a point a pixel is too large for the demo to read: its pages are read at 72. */
const at72 = (...[reader, source, options]: Parameters<typeof readDocument>) =>
  readDocument(reader, source, { ...options, dpi: 72, repetitionPenalty: 1 });

test.before(async () => {
  model = await loadDemo();
  server = createServer(model, { name: "demo", readDocument: at72 });
  const pictures = ["hello", "lines", "numbers"].map((name) =>
    decodeImage(readFileSync(`examples/demo/pictures/${name}.png`)),
  );
  pdf = picturePdf(await Promise.all(pictures));
});
test.after(() => model.dispose());

async function ask(path: string, body: unknown, from = server) {
  const response = await from.fetch(post(path, body));
  return { status: response.status, body: JSON.parse(await response.text()) };
}
const base64 = () => Buffer.from(pdf).toString("base64");
const PARSE = "/glmocr/parse";
const CLOUD = "/api/paas/v4/layout_parsing";

test("/glmocr/parse: a picture is a page; a PDF has its pages; several are a list", async () => {
  const one = await ask(PARSE, { images: [pictureUrl()] });
  const region = { index: 0, label: "text", native_label: "text", content: "Hello world", bbox_2d: null };
  assert.equal(one, { status: 200, body: { json_result: [[region]], markdown_result: "Hello world" } });
  const three = await ask(PARSE, { images: `data:application/pdf;base64,${base64()}` });
  assert.is(three.body.json_result.length, 3);
  assert.is(three.body.json_result[1][0].content, "The quick\nbrown fox\njumps over");
  const both = await ask(PARSE, { images: [pictureUrl(), pictureUrl("numbers.png")] });
  assert.equal(both.body.json_result[0], [[region]]);
  assert.is(both.body.markdown_result, "Hello world\n\n---\n\n#48213 17:05\n92% 7304");
});

test("layout_parsing: Markdown, regions, sizes and tokens; pages may be chosen", async () => {
  const { status, body } = await ask(CLOUD, {
    model: "demo",
    file: base64(),
    start_page_id: 2,
    end_page_id: 3,
    request_id: "mine",
    need_layout_visualization: true,
  });
  assert.is(status, 200);
  assert.is(body.md_results, "The quick\nbrown fox\njumps over\n\n---\n\n#48213 17:05\n92% 7304");
  assert.equal(body.data_info, {
    num_pages: 2,
    pages: [
      { width: 168, height: 84 },
      { width: 140, height: 56 },
    ],
  });
  assert.is(body.layout_details[0][0].width, 168);
  assert.equal([body.model, body.request_id], ["demo", "mine"]);
  const { prompt_tokens: prompt, completion_tokens: completion, total_tokens: total } = body.usage;
  assert.ok(prompt > 0 && completion > 0 && total === prompt + completion);
});

test("pictures of a page stand where they are, for clients that cut them out", async () => {
  const layout: LayoutModel = {
    regions: async () => [{ name: "image", use: "skip", score: 1, corners: [14, 7, 70, 28] }],
    dispose: async () => {},
  };
  const withLayout = createServer(model, {
    readDocument: (reader, source, options) => readDocument(reader, source, { ...options, layout }),
  });
  const parsed = await ask(PARSE, { images: [pictureUrl()] }, withLayout);
  assert.is(parsed.body.markdown_result, "![](page=0,bbox=[62, 250, 312, 1000])");
  const { body } = await ask(CLOUD, { file: pictureUrl() }, withLayout);
  assert.is(body.md_results, "![](page=0,bbox=[14, 7, 70, 28])");
  assert.equal(body.layout_details[0][0].bbox_2d, [14, 7, 70, 28]);
});

const WRONG: readonly [path: string, body: () => unknown, status: number, message: RegExp][] = [
  [PARSE, () => ({}), 400, /images is missing/],
  [PARSE, () => ({ images: [3] }), 400, /expected a list of at most \d+ strings/],
  [PARSE, () => ({ images: ["/etc/passwd"] }), 400, /not allowed/],
  [PARSE, () => ({ images: ["http://127.0.0.1:1/a.pdf"] }), 400, /not allowed/],
  [PARSE, () => ({ images: ["data:text/plain;base64,aGVsbG8="] }), 400, /text in no known format/],
  [
    CLOUD,
    () => ({ file: "data:application/pdf;base64,JVBERi0xLjcKbm90aGluZw==" }),
    400,
    /is no PDF that can be/,
  ],
  [CLOUD, () => ({ file: pictureUrl(), start_page_id: 3 }), 400, /has 1 page\./],
  [CLOUD, () => ({ file: pictureUrl(), return_crop_images: true }), 400, /bbox_2d/],
  [CLOUD, () => ({ file: pictureUrl(), colour: 1 }), 400, /no field that is known/],
  [CLOUD, () => ({ file: pictureUrl(), model: "other" }), 404, /other/],
];

for (const [path, body, status, message] of WRONG) {
  test(`${path} ${JSON.stringify(body()).slice(0, 60)} is refused`, async () => {
    const answer = await ask(path, body());
    assert.is(answer.status, status, JSON.stringify(answer.body));
    const said = path === PARSE ? answer.body.error : answer.body.error.message;
    assert.match(said, message);
  });
}

test("more than 100 pages are refused before any is read", async () => {
  const [picture] = [await decodeImage(readFileSync("examples/demo/pictures/hello.png"))];
  const long = picturePdf(Array.from({ length: 101 }, () => picture));
  const { status, body } = await ask(CLOUD, { file: Buffer.from(long).toString("base64") });
  assert.is(status, 400);
  assert.match(body.error.message, /has 101 pages to read, but maxPages is 100/);
});

test("a server without readDocument says so", async () => {
  const { status, body } = await ask(PARSE, { images: [pictureUrl()] }, createServer(model, {}));
  assert.is(status, 404);
  assert.match(body.error, /reads no documents/);
});

test("a client that goes away ends its pages", async () => {
  const stop = new AbortController();
  const request = post(CLOUD, { file: base64() });
  const asked = server.fetch(new Request(request, { signal: stop.signal }));
  setTimeout(() => stop.abort(), 100);
  await asked;
  while (model.stats().running > 0) await new Promise((resolve) => setTimeout(resolve, 10));
});

test.run();
