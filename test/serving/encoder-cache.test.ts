/** A picture is encoded once, whatever stands before it; what it is answered with stays the same to the bit. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type ImageSource, type LoadOptions, loadModel } from "../../src/index.ts";
import { chat, facts } from "./company.ts";

const DIRECTORY = "test/golden/data/glm_ocr-tiny";
const open = (options: LoadOptions = {}) => loadModel(DIRECTORY, { backend: "wasm", ...options });
const asked = { maxTokens: 6 };

const cold = await open({ prefixCache: false, encoderCacheBytes: 0 });
test.after(() => cold.dispose());

for (const backend of ["wasm", "reference"] as const) {
  test(`${backend}: pictures that come again are not encoded again, whatever else the prompt says`, async () => {
    const model = await open({ backend, prefixCache: false });
    const never = await open({ backend, prefixCache: false, encoderCacheBytes: 0 });
    const two = [...chat("First", 3), { role: "assistant", content: "Yes" }, ...chat("Second", 7)];
    for (const messages of [chat("One", 7), chat("Another", 7), two, chat("Third", 3)]) {
      assert.equal(
        facts(await model.complete(messages, asked)),
        facts(await never.complete(messages, asked)),
      );
    }
    const { bytes, queries, hits } = model.stats().encoderCache;
    assert.ok(bytes > 0 && queries === 5 && hits >= 2, JSON.stringify(model.stats().encoderCache));
    assert.equal(never.stats().encoderCache, { bytes: 0, queries: 0, hits: 0 });
    await model.dispose();
    await never.dispose();
  });
}

test("requests at once with the same picture encode it once", async () => {
  const model = await open({ prefixCache: false });
  const texts = ["a", "b", "c"];
  const answers = await Promise.all(texts.map((text) => model.complete(chat(text, 7), asked)));
  assert.is(model.stats().encoderCache.hits, 2);
  for (const [index, text] of texts.entries()) {
    assert.equal(facts(answers[index]!), facts(await cold.complete(chat(text, 7), asked)));
  }
  await model.dispose();
});

test("other salts and other pictures find nothing; the oldest go when there are too many bytes", async () => {
  const model = await open({ prefixCache: false });
  await model.complete(chat("a", 7), { ...asked, cacheSalt: "x" });
  await model.complete(chat("a", 7), { ...asked, cacheSalt: "y" });
  await model.complete(chat("a", 3), asked);
  assert.is(model.stats().encoderCache.hits, 0);
  await model.trimMemory();
  assert.is(model.stats().encoderCache.bytes, 0);
  await model.complete(chat("a", 7), asked);
  const { bytes } = model.stats().encoderCache;
  await model.dispose();
  const small = await open({ prefixCache: false, encoderCacheBytes: bytes });
  for (const shade of [7, 11, 7]) await small.complete(chat("a", shade), asked);
  assert.equal([small.stats().encoderCache.bytes, small.stats().encoderCache.hits], [bytes, 0]);
  await small.complete(chat("b", 7), asked);
  assert.is(small.stats().encoderCache.hits, 1);
  await small.dispose();
});

test("encodeImages finds what requests have encoded, and they what it has", async () => {
  const model = await open({ prefixCache: false });
  const image = (shade: number): ImageSource => {
    const [{ content }] = chat("", shade) as unknown as [{ content: [{ image: ImageSource }] }];
    return content[0].image;
  };
  await model.complete(chat("a", 7), asked);
  const found = await model.encodeImages([image(7)]);
  assert.is(model.stats().encoderCache.hits, 1);
  assert.equal(found, await cold.encodeImages([image(7)]));
  await model.encodeImages([image(3)]);
  const answer = await model.complete(chat("b", 3), asked);
  assert.is(model.stats().encoderCache.hits, 2);
  assert.equal(facts(answer), facts(await cold.complete(chat("b", 3), asked)));
  await model.dispose();
});

test("what the option may be", async () => {
  for (const encoderCacheBytes of [-1, 1.5, "1MiB" as never]) {
    const error = await open({ encoderCacheBytes }).then(
      () => assert.unreachable(),
      (error) => error,
    );
    assert.is(error.code, "OPTION_INVALID");
    assert.match(error.message, /encoderCacheBytes/);
  }
});

test.run();
