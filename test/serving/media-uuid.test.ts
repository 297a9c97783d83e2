/** A part's `uuid` says which picture it is, to what is kept for later. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type GenerationResult, loadModel, type Message } from "../../src/index.ts";
import { facts } from "./company.ts";

const MODEL = "test/golden/data/glm_ocr-tiny";
const asked = { maxTokens: 4, logprobs: true };
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

/** The same question about what is known by its name alone. */
const named = (uuid: string): Message[] => [
  {
    role: "user",
    content: [
      { type: "image", uuid },
      { type: "text", text: "What is it? ".repeat(4) },
    ],
  },
];

async function refused(task: Promise<unknown>, message: RegExp): Promise<void> {
  const error = await task.then(
    () => assert.unreachable(),
    (error) => error,
  );
  assert.is(error.code, "INPUT_INVALID", String(error));
  assert.match(error.message, message);
}

for (const backend of ["wasm", "reference"] as const) {
  for (const prefixCache of [true, false]) {
    test(`${backend}: a picture that is known needs no data${prefixCache ? "" : ", without a prefix cache too"}`, async () => {
      const model = await loadModel(MODEL, { backend, prefixCache });
      const first = await model.complete(asking(3, "page 1"), asked);
      const { queries, hits } = model.stats().encoderCache;
      const again = await model.complete(named("page 1"), asked);
      assert.equal(facts(again), facts(first));
      assert.is(again.usage.promptTokens, first.usage.promptTokens);
      assert.is(again.usage.cachedTokens > 0, prefixCache);
      assert.equal([queries, hits], [1, 0]);
      assert.is(model.stats().encoderCache.hits, 1);
      const other: Message[] = [...named("page 1"), { role: "assistant", content: "A" }, ...asking(7)];
      const full: Message[] = [...asking(3), { role: "assistant", content: "A" }, ...asking(7)];
      assert.equal(facts(await model.complete(other, asked)), facts(await model.complete(full, asked)));
      const url = [
        { ...named("page 1")[0]!, content: [{ type: "image_url", image_url: null, uuid: "page 1" }] },
      ];
      assert.ok((await model.complete(url as never, asked)).tokenIds.length > 0);
      await model.dispose();
    });
  }
}

test("several answers, and answers that give their pages away, to a picture that is known", async () => {
  const model = await loadModel(MODEL, { backend: "wasm", threads: 1, maxMemory: 7 * 2 ** 20 });
  const sampled = { maxTokens: 30, temperature: 2, seed: 1, n: 3 };
  const first = await model.complete(asking(3, "page 1"), sampled);
  const texts = (result: GenerationResult) => result.choices.map(({ tokenIds }) => tokenIds);
  const [again, ...others] = await Promise.all([
    model.complete(named("page 1"), sampled),
    ...[1, 2, 3, 4].map((index) =>
      model.complete(asking(7 + index), { ...sampled, n: 1, maxTokens: 200, priority: -1 }),
    ),
  ]);
  assert.is(others.length, 4);
  assert.equal(texts(again), texts(first));
  await model.dispose();
});

test("a video that is known needs no data, and none of what says how to read it", async () => {
  const model = await loadModel(MODEL, { backend: "wasm" });
  const frames = Array.from({ length: 4 }, (_, index) => picture(3 + index));
  const content = (part: object): Message[] => [
    { role: "user", content: [part as never, { type: "text", text: "What is it? ".repeat(4) }] },
  ];
  const video = { type: "video", video: { frames, metadata: { fps: 2 } }, uuid: "clip" };
  const first = await model.complete(content(video), asked);
  assert.equal(facts(await model.complete(content({ type: "video", uuid: "clip" }), asked)), facts(first));
  await refused(
    model.complete(content({ type: "image", uuid: "clip" })),
    /messages\[0\]\.content\[0\]\.image: no image is kept under the uuid "clip"/,
  );
  await refused(
    model.complete(content({ type: "video", uuid: "clip", fps: 1 })),
    /messages\[0\]\.content\[0\]\.fps says how a video is read, and there is none/,
  );
  await model.dispose();
});

test("a video of other times is another, whatever its name", async () => {
  const model = await loadModel(MODEL, { backend: "wasm" });
  const cold = await loadModel(MODEL, { backend: "wasm", prefixCache: false, encoderCacheBytes: 0 });
  const content = (part: object): Message[] => [
    { role: "user", content: [part as never, { type: "text", text: "What is it? ".repeat(4) }] },
  ];
  const clip = (first: number, fps: number) => ({
    type: "video",
    video: { frames: [0, 1, 2, 3].map((at) => picture(first + at)), metadata: { fps } },
  });
  const uuid = "clip";
  const grids: unknown[] = [];
  for (const part of [clip(3, 2), clip(40, 1.9), clip(3, 2)]) {
    grids.push((await cold.process(content(part))).videoGridThw);
    const expected = facts(await cold.complete(content(part), asked));
    assert.equal(facts(await model.complete(content({ ...part, uuid }), asked)), expected);
    // Not where all of it was found in the KV cache, so that it was not encoded again.
    const named = await model.complete(content({ type: "video", uuid }), asked).catch(({ code }) => code);
    if (named !== "INPUT_INVALID") assert.equal(facts(named), expected);
    else assert.is(grids.length, 3);
  }
  assert.equal(grids[0], grids[1], "times differ alone");
  await model.dispose();
  await cold.dispose();
});

test("a name alone is never a picture that was sent before the last one", async () => {
  const model = await loadModel(MODEL, { backend: "wasm" });
  const first = await model.complete(asking(3, "page"), asked);
  await model.complete(asking(7, "page", 168), asked);
  // Found in the KV cache, so that it is not encoded again.
  assert.equal(facts(await model.complete(asking(3, "page"), asked)), facts(first));
  await refused(model.complete(named("page"), asked), /no image is kept under the uuid "page"/);
  await model.dispose();
});

test("what is not kept, or not any more, is to be sent again", async () => {
  const model = await loadModel(MODEL, { backend: "wasm" });
  const lost = /messages\[0\]\.content\[0\]\.image: no image is kept under the uuid "page 1".*send it again/;
  await refused(model.complete(named("page 1")), lost);
  await model.complete(asking(3, "page 1"), { ...asked, cacheSalt: "mine" });
  await refused(model.complete(named("page 1")), lost);
  await model.complete(named("page 1"), { ...asked, cacheSalt: "mine" });
  await model.trimMemory();
  await refused(model.complete(named("page 1"), { cacheSalt: "mine" }), lost);
  await refused(model.process(named("page 1")), /only generate and complete know/);
  await refused(
    model.complete([{ role: "user", content: [{ type: "image" } as never] }]),
    /content\[0\]\.image: expected an image, found nothing/,
  );
  await model.dispose();
  const without = await loadModel(MODEL, { backend: "wasm", encoderCacheBytes: 0 });
  await without.complete(asking(3, "page 1"), asked);
  await refused(without.complete(named("page 1")), lost);
  await without.dispose();
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
