/** PDFs through PDFium: pixels, pages read, and files that are broken, locked, huge or made to harm. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { loadModel, type Model } from "../../src/index.ts";
import { decodeImage } from "../../src/media/decode-image.ts";
import { type DocumentOptions, type PageReader, readDocument } from "../../src/ocr.ts";
import { type PdfPicture, pdfOf, picturePdf, textPdf } from "../documents/pdf-files.ts";

const NAMES = ["hello", "lines", "numbers", "receipt"];
let model: Model;
const pictures: PdfPicture[] = [];

test.before(async () => {
  model = await loadModel("examples/demo/checkpoint", { backend: "wasm", threads: 1 });
  for (const name of NAMES)
    pictures.push(await decodeImage(readFileSync(`examples/demo/pictures/${name}.png`)));
});
test.after(() => model.dispose());

const read = (source: Parameters<typeof readDocument>[1], options?: DocumentOptions) =>
  readDocument(model, source, { dpi: 72, ...options }).result;

/** Reads nothing, and keeps what it was shown. */
function looker() {
  const seen: PdfPicture[] = [];
  const usage = { promptTokens: 0, visionTokens: 0, completionTokens: 0, cachedTokens: 0 };
  const reader: PageReader = {
    complete: async ([message]) => {
      const [part] = (message?.content ?? []) as readonly { readonly image: PdfPicture }[];
      seen.push(part!.image);
      return { content: "", finishReason: "stop", usage };
    },
  };
  return { reader, seen };
}

/** Left, top, right, bottom of what is dark. */
function inkBox(data: Uint8Array, width: number): number[] {
  const box = [Infinity, Infinity, -Infinity, -Infinity] as [number, number, number, number];
  for (let pixel = 0; pixel * 3 < data.length; pixel++) {
    if (data[pixel * 3]! > 128) continue;
    const [x, y] = [pixel % width, Math.floor(pixel / width)];
    box[0] = Math.min(box[0], x);
    box[1] = Math.min(box[1], y);
    box[2] = Math.max(box[2], x);
    box[3] = Math.max(box[3], y);
  }
  return box;
}

test("pages are read as their pictures are alone, in the order of the pages", async () => {
  const { pages, markdown, json } = await read(picturePdf(pictures));
  const alone = await Promise.all(NAMES.map((name) => read(`examples/demo/pictures/${name}.png`)));
  assert.equal(
    pages.map((page) => page.markdown),
    alone.map((result) => result.markdown),
  );
  assert.is(markdown, alone.map((result) => result.markdown).join("\n\n---\n\n"));
  assert.equal(
    json,
    alone.map((result) => result.json[0]),
  );
  assert.is(pages[0]!.markdown, "Hello world");
  assert.equal(json[0], [
    { index: 0, label: "text", native_label: "text", content: "Hello world", bbox_2d: null },
  ]);
});

test("a page has the size that poppler gives it, and its letters where poppler has them", async () => {
  const bytes = textPdf("Hello PDF 123", { width: 200, height: 150 });
  const { reader, seen } = looker();
  await readDocument(reader, bytes).result;
  const [{ data, width, height } = { data: new Uint8Array(), width: 0, height: 0 }] = seen;
  assert.equal([width, height], [556, 417]);
  const { stdout, error } = spawnSync("pdftoppm", ["-r", "200", "-"], {
    input: bytes,
    maxBuffer: 1 << 26,
  });
  if (error) return;
  const [head = "", w, h] =
    /^P6\s+(\d+)\s+(\d+)\s+255\s/.exec(stdout.subarray(0, 30).toString("latin1")) ?? [];
  assert.equal([Number(w), Number(h)], [width, height]);
  // Their fonts have the same metrics: the line is where it is, and as long.
  const [ours, theirs] = [inkBox(data, width), inkBox(stdout.subarray(head.length), width)];
  for (const [at, side] of ours.entries()) {
    assert.ok(Math.abs(side - (theirs[at] as number)) <= 4, `${ours} and ${theirs}`);
  }
});

test("several documents are one, page after page; pages may be chosen", async () => {
  const pdf = picturePdf(pictures.slice(0, 2));
  const { pages } = await read([pdf, "examples/demo/pictures/receipt.png"], { pages: "2-3" });
  assert.equal(
    pages.map(({ number, markdown }) => [number, markdown.split("\n")[0]]),
    [
      [2, "The quick"],
      [3, "Tea 3.50"],
    ],
  );
});

test("a huge page is made smaller, and says so", async () => {
  const { reader } = looker();
  const { pages } = await readDocument(reader, textPdf("x", { width: 14_400, height: 14_400 })).result;
  assert.ok(pages[0]!.width * pages[0]!.height <= 40e6);
  assert.match(
    pages[0]!.warnings.join(),
    /200.0 x 200.0 inches large, and was rendered at 32 dpi in place of 200/,
  );
});

/** A page whose content never comes to an end worth waiting for. */
const slow = () => {
  const form = (index: number) =>
    `<</Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</F ${index + 1} 0 R>>>>/Length 90>>stream\n${"/F Do ".repeat(15)}\nendstream`;
  return pdfOf([
    ["<</Type/Catalog/Pages 2 0 R>>"],
    ["<</Type/Pages/Kids[3 0 R]/Count 1>>"],
    ["<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]/Contents 4 0 R/Resources<</XObject<</F 5 0 R>>>>>>"],
    ["<</Length 6>>stream\n/F Do \nendstream"],
    ...Array.from({ length: 12 }, (_, level) => [form(5 + level)]),
    ["<</Type/XObject/Subtype/Form/BBox[0 0 9 9]/Length 20>>stream\n0 0 9 9 re f 0 0 m S\nendstream"],
  ]);
};

test("a page that takes for ever is given up, and the next is read", async () => {
  const { pages } = await read([slow(), "examples/demo/pictures/hello.png"], { renderTimeout: 500 });
  assert.is(pages[0]!.error?.code, "TIMED_OUT");
  assert.match(pages[0]!.error!.message, /not rendered within 500 ms.*renderTimeout/);
  assert.is(pages[1]!.markdown, "Hello world");
});

test("an abort ends a page that takes for ever", async () => {
  const stop = new AbortController();
  const run = read(slow(), { signal: stop.signal });
  setTimeout(() => stop.abort(), 50);
  await assertRejects(run, "ABORTED", /./);
});

const text = textPdf("Hello");
const BROKEN: readonly [what: string, bytes: Uint8Array, message: RegExp][] = [
  ["nothing behind the header", Buffer.from("%PDF-1.7\n"), /is no PDF that can be read/],
  ["words", Buffer.from("%PDF-1.7\nthis is none"), /is no PDF that can be read/],
  ["its first half", text.subarray(0, 180), /is no PDF that can be read|has no pages/],
  [
    "no pages",
    pdfOf([["<</Type/Catalog/Pages 2 0 R>>"], ["<</Type/Pages/Kids[]/Count 0>>"]]),
    /has no pages/,
  ],
  [
    "a handler of secrets that nobody has",
    pdfOf(
      [["<</Type/Catalog/Pages 2 0 R>>"], ["<</Type/Pages/Kids[]/Count 0>>"]],
      "/Encrypt <</Filter/Nobody/V 1>>",
    ),
    /is encrypted in a way|is no PDF/,
  ],
];

for (const [what, bytes, message] of BROKEN) {
  test(`a PDF of ${what} is refused in words`, () => assertRejects(read(bytes), "INPUT_INVALID", message));
}

test("a locked PDF asks for its password, and opens with it", async () => {
  const locked = readFileSync("test/documents/data/locked.pdf");
  await assertRejects(read(locked), "INPUT_INVALID", /is encrypted: give its password \(option password\)/);
  await assertRejects(
    read(locked, { password: "wrong" }),
    "INPUT_INVALID",
    /the password is not its password/,
  );
  const { pages } = await read(locked, { password: "secret", maxTokens: 1 });
  assert.is(pages.length, 1);
  assert.is(pages[0]!.error, null);
});

test("a page that is not there is one that failed; others are read", async () => {
  const [picture] = pictures as [PdfPicture];
  const bytes = picturePdf([picture, picture]);
  const torn = Buffer.from(bytes);
  // The second page's object becomes something else.
  const at = torn.indexOf("/Type/Page/Parent", torn.indexOf("6 0 obj"));
  torn.write("/Typo/Pige/Pirent", at, "latin1");
  const { pages } = await read(torn);
  assert.is(pages[0]!.markdown, "Hello world");
  assert.is(pages.length, 2);
});

test("a small file of a million pages is refused, and one of few pages by fewer", async () => {
  const pages = pdfOf([
    ["<</Type/Catalog/Pages 2 0 R>>"],
    [`<</Type/Pages/Kids[${"3 0 R ".repeat(1000)}]/Count 1000000>>`],
    [`<</Type/Pages/Parent 2 0 R/Kids[${"4 0 R ".repeat(1000)}]/Count 1000>>`],
    ["<</Type/Page/Parent 3 0 R/MediaBox[0 0 9 9]>>"],
  ]);
  await assertRejects(read(pages), "INPUT_INVALID", /has 1000000 pages to read, but maxPages is 10000/);
  await assertRejects(read(text, { maxPages: 0.5 }), "OPTION_INVALID", /maxPages is 0.5/);
});

test("a page tree that goes round in a circle ends", async () => {
  const circle = pdfOf([
    ["<</Type/Catalog/Pages 2 0 R>>"],
    ["<</Type/Pages/Kids[2 0 R 2 0 R]/Count 1000000>>"],
  ]);
  await assertRejects(
    (async () => {
      for await (const page of readDocument(model, circle, { dpi: 72, pages: "1" })) {
        if (page.error) throw Object.assign(new Error(page.error.message), { code: page.error.code });
      }
    })(),
    "INPUT_INVALID",
    /can not be read|has no pages|is no PDF/,
  );
});

async function assertRejects(run: Promise<unknown>, code: string, message: RegExp): Promise<void> {
  const error = await run.then(
    () => assert.unreachable("it was read") as never,
    (error) => error,
  );
  assert.is(error.code, code, error.stack);
  assert.match(error.message, message);
}

test.run();
