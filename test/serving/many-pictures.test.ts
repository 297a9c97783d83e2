/** Many pictures in a row hold nobody up: answers go on between two runs of the tower. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { loadModel, type Model } from "../../src/index.ts";
import { chat } from "./company.ts";

const image = { data: new Uint8Array(3 * 112 * 112).fill(90), width: 112, height: 112 };
/** More than run together. */
const IMAGES = Array.from({ length: 130 }, () => image);

/** Tokens that an answer gives while pictures are encoded. */
async function tokensBeside(encode: (model: Model, report: (share: number) => void) => Promise<unknown>) {
  const model = await loadModel("test/golden/data/glm_ocr-tiny", { backend: "wasm", threads: 1 });
  let isEncoding = false;
  let beside = 0;
  const encoding = encode(model, (share) => {
    isEncoding = share > 0 && share < 1;
  });
  let isDone = false;
  encoding.finally(() => {
    isDone = true;
  });
  while (!isDone) {
    for await (const { type } of model.generate(chat("Hello"), { maxTokens: 40, temperature: 2, seed: 1 })) {
      if (type !== undefined && isEncoding) beside++;
    }
  }
  await encoding;
  await model.dispose();
  return beside;
}

test("an answer goes on while the pictures of another request are encoded", async () => {
  const content = [
    ...IMAGES.map((image) => ({ type: "image" as const, image })),
    { type: "text" as const, text: "?" },
  ];
  const beside = await tokensBeside((model, report) =>
    model.complete([{ role: "user", content }], {
      maxTokens: 1,
      onProgress: ({ stage, share }) => report(stage === "vision" ? share : 1),
    }),
  );
  assert.ok(beside > 0);
});

test("an answer goes on while pictures are encoded to be kept", async () => {
  const beside = await tokensBeside((model, report) => model.encodeImages(IMAGES, { onProgress: report }));
  assert.ok(beside > 0);
});

test.run();
