/** A part's `uuid` says which picture it is, to what is kept for later. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { loadModel, type Message } from "../../src/index.ts";

const MODEL = "test/golden/data/glm_ocr-tiny";
const picture = (shade: number, width = 112) => ({
  data: Uint8Array.from({ length: 3 * width * 56 }, (_, index) => (index * shade) % 251),
  width,
  height: 56,
});
const asking = (shade: number, uuid?: unknown, width?: number): Message[] => [
  {
    role: "user",
    content: [
      {
        type: "image",
        image: picture(shade, width),
        ...(uuid === undefined ? {} : { uuid: uuid as string }),
      },
      { type: "text", text: "What is it? ".repeat(4) },
    ],
  },
];

test("the same uuid is the same picture, whatever its values; of another size it is another", async () => {
  const model = await loadModel(MODEL, { backend: "wasm" });
  const ask = async (messages: Message[]) => {
    const { topLogits, usage } = await model.complete(messages, { maxTokens: 2 });
    return { topLogits, cached: usage.cachedTokens };
  };
  const first = await ask(asking(3, "page 1"));
  const other = await ask(asking(7));
  assert.not.equal(other.topLogits, first.topLogits);
  const vouched = await ask(asking(7, "page 1"));
  assert.equal(vouched.topLogits, first.topLogits);
  assert.is(vouched.cached > 0, true);
  assert.equal((await ask(asking(7, "page 2"))).topLogits, other.topLogits);
  assert.equal(
    (await ask(asking(7, "page 1", 168))).topLogits,
    (await ask(asking(7, undefined, 168))).topLogits,
  );
  await model.dispose();
});

test("what process returns says the uuids, and generate takes them from there", async () => {
  const model = await loadModel(MODEL, { backend: "wasm" });
  const processed = await model.process(asking(3, "page 1"));
  assert.is(processed.visionItems[0]?.uuid, "page 1");
  assert.not.ok("uuid" in (await model.process(asking(3))).visionItems[0]!);
  const from = await model.complete(asking(7, "page 1"), { maxTokens: 1 });
  assert.equal((await model.complete(processed, { maxTokens: 1 })).topLogits, from.topLogits);
  await model.dispose();
});

test("a uuid is a short text", async () => {
  const model = await loadModel(MODEL, { backend: "wasm" });
  for (const uuid of ["", 5, {}, "x".repeat(257)]) {
    const error = await model.process(asking(3, uuid)).then(
      () => null,
      (thrown) => thrown,
    );
    assert.is(error?.code, "INPUT_INVALID");
    assert.match(error.message, /messages\[0\]\.content\[0\]\.uuid: expected a text of 1\.\.256 letters/);
  }
  await model.dispose();
});

test.run();
