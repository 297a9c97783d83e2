/** Layout models in an ONNX runtime: stand-ins with the names and shapes of both kinds of exports. */
import * as runtime from "onnxruntime-web";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { classNumber } from "../../src/documents/layout/classes.ts";
import type { Model } from "../../src/index.ts";
import { decodeImage } from "../../src/media/decode-image.ts";
import { type OnnxRuntime, openLayout, readDocument } from "../../src/ocr.ts";
import { otherModel, queriesModel, rowsModel } from "../documents/onnx-files.ts";
import { loadDemo, pictureUrl } from "../server/demo.ts";

let model: Model;
test.before(async () => {
  model = await loadDemo();
});
test.after(() => model.dispose());

const [TEXT, IMAGE, TITLE, FOOTER] = ["text", "image", "doc_title", "footer"].map(classNumber) as [
  number,
  number,
  number,
  number,
];
const page = { data: new Uint8Array(400 * 200 * 3), width: 400, height: 200 };

test("rows: in pixels of the page, in their order, without what is unsure", async () => {
  const layout = await openLayout({
    runtime,
    model: rowsModel([
      [TEXT, 0.9, 0, 400, 800, 600, 2],
      [TITLE, 0.8, 80, 40, 400, 200, 1],
      [TEXT, 0.2, 0, 700, 800, 800, 3],
      [FOOTER, 0.9, 0, 780, 800, 800, 4],
    ]),
  });
  const regions = await layout.regions(page, undefined);
  assert.equal(
    regions.map(({ name, corners }) => [name, corners]),
    [
      ["doc_title", [40, 10, 200, 50]],
      ["text", [0, 100, 400, 150]],
    ],
  );
  await layout.dispose();
});

const QUERIES = [
  { classNumber: TEXT, logit: 2, box: [0.5, 0.25, 1, 0.5] },
  { classNumber: IMAGE, logit: 3, box: [0.25, 0.75, 0.5, 0.5] },
  { classNumber: TEXT, logit: -1, box: [0.75, 0.75, 0.1, 0.1] },
] as const;

for (const [withOrder, expected] of [
  [true, ["image", "text"]],
  [false, ["text", "image"]],
] as const) {
  test(`queries, ${withOrder ? "in the order that pairs vote for" : "from the top where nothing votes"}`, async () => {
    const layout = await openLayout({ runtime, model: queriesModel(QUERIES, { withOrder }), threshold: 0.5 });
    const regions = await layout.regions(page, undefined);
    assert.equal(
      regions.map(({ name }) => name),
      [...expected],
    );
    assert.equal(regions.find(({ name }) => name === "text")?.corners, [0, 0, 400, 100]);
    await layout.dispose();
  });
}

test("a document is read region by region, and pictures are cut out", async () => {
  // The page is two of the demo's pictures, one above the other, and a picture beside them.
  const [hello, numbers] = await Promise.all(
    ["hello.png", "numbers.png"].map((name) => decodeImage(pictureUrl(name))),
  );
  const [width, height] = [448, 112];
  const image = { data: new Uint8Array(width * height * 3).fill(255), width, height };
  for (const [part, top] of [
    [hello!, 0],
    [numbers!, 56],
  ] as const) {
    for (let y = 0; y < part.height; y++) {
      image.data.set(part.data.subarray(y * part.width * 3, (y + 1) * part.width * 3), (top + y) * width * 3);
    }
  }
  const place = (left: number, top: number, right: number, bottom: number) =>
    [(left * 800) / width, (top * 800) / height, (right * 800) / width, (bottom * 800) / height] as const;
  const layout = await openLayout({
    runtime,
    model: rowsModel([
      [TEXT, 0.9, ...place(0, 56, numbers!.width, 56 + numbers!.height), 2],
      [TITLE, 0.9, ...place(0, 0, hello!.width, hello!.height), 1],
      [IMAGE, 0.9, ...place(336, 0, 448, 28), 3],
    ]),
  });
  const { markdown, json, pages } = await readDocument(model, image, { layout, imagePrefix: "a_" }).result;
  await layout.dispose();
  assert.is(markdown, "# Hello world\n\n#48213 17:05\n\n92% 7304\n\n![Image 0-2](imgs/a_page0_idx2.png)");
  assert.equal(json[0], [
    {
      index: 0,
      label: "text",
      native_label: "doc_title",
      content: "# Hello world",
      bbox_2d: [0, 0, 500, 250],
    },
    {
      index: 1,
      label: "text",
      native_label: "text",
      content: "#48213 17:05\n\n92% 7304",
      bbox_2d: [0, 500, 312, 1000],
    },
    {
      index: 2,
      label: "image",
      native_label: "image",
      content: "",
      bbox_2d: [750, 0, 1000, 250],
      image_path: "imgs/a_page0_idx2.png",
    },
  ]);
  const [saved] = pages[0]!.images;
  const cut = await decodeImage(saved!.png);
  assert.equal([saved!.path, cut.width, cut.height, cut.data[0]], ["imgs/a_page0_idx2.png", 112, 28, 255]);
});

test("a model that takes too long fails its page, and others are read", async () => {
  const slow: OnnxRuntime = {
    Tensor: runtime.Tensor as OnnxRuntime["Tensor"],
    InferenceSession: {
      create: async () => ({
        inputNames: ["image"],
        outputNames: [],
        run: () => new Promise(() => {}),
        release: async () => {},
      }),
    },
  };
  const layout = await openLayout({ runtime: slow, model: new Uint8Array(1), timeout: 20 });
  const { pages } = await readDocument(model, pictureUrl(), { layout }).result;
  assert.is(pages[0]!.error?.code, "TIMED_OUT");
  assert.match(pages[0]!.error!.message, /more than 20 ms for a page; raise the option layout.timeout/);
});

test("what is no such model is refused in words", async () => {
  const refused = async (bytes: Uint8Array, message: RegExp) => {
    const error = await openLayout({ runtime, model: bytes }).then(
      (layout) => layout.regions(page, undefined).catch((error) => error),
      (error) => error,
    );
    assert.is(error.code, "INPUT_INVALID", error.stack);
    assert.match(error.message, message);
  };
  await refused(Buffer.from("no model at all"), /can not be loaded/);
  await refused(otherModel(), /gives y \[1, 3, 800, 800\]; expected rows/);
});

test.run();
