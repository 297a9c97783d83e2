/** A generator that is neither finished nor returned gives back what it holds when it is collected. */
import { setTimeout as sleep } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { loadModel, type Message, type Model } from "../../src/index.ts";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

const MODEL = "test/golden/data/glm_ocr-tiny";
const image = { data: new Uint8Array(3 * 56 * 56).fill(90), width: 56, height: 56 };
const asking: Message[] = [
  {
    role: "user",
    content: [
      { type: "image", image },
      { type: "text", text: "What is it?" },
    ],
  },
];

/** Collects until `isDone`, at most so often. */
async function collectUntil(isDone: () => boolean, rounds = 1000): Promise<boolean> {
  for (let round = 0; round < rounds && !isDone(); round++) {
    collect();
    await sleep(20);
  }
  return isDone();
}

/** Begins generations and leaves them after a token. */
async function leave(model: Model, count: number, options: { adapters?: string[] } = {}): Promise<void> {
  await Promise.all(
    Array.from({ length: count }, () => model.generate(asking, { maxTokens: 200, ...options }).next()),
  );
}

test("pages of generators that nobody holds are used again", async () => {
  // Nothing is found, so that all take the same.
  const model = await loadModel(MODEL, { backend: "wasm", prefixCache: false, encoderCacheBytes: 0 });
  await leave(model, 4);
  const held = model.liveBytes;
  for (let round = 0; round < 3; round++) {
    for (let time = 0; time < 5; time++) {
      collect();
      await sleep(20);
    }
    await leave(model, 4);
    assert.is(model.liveBytes, held);
  }
  await model.dispose();
});

test("a run that waits for a reader whom it lost gives back what it has", async () => {
  const model = await loadModel(MODEL, { backend: "wasm", threads: 1 });
  await model.complete(asking, { maxTokens: 2 });
  // Its result was asked for too, so that it goes on by itself until it is too far ahead.
  const begin = async () => {
    const run = model.generate(asking, { maxTokens: 200 });
    await run.next();
    run.result;
  };
  await begin();
  assert.is(model.stats().running, 1);
  assert.ok(await collectUntil(() => model.stats().running === 0));
  await model.dispose();
});

test("an adapter that was unloaded goes when the forgotten generator with it is collected", async () => {
  // What is kept of the picture and its pages would be counted too.
  const model = await loadModel(MODEL, { backend: "wasm", encoderCacheBytes: 0, kvCache: { bytes: 0 } });
  await model.complete(asking, { maxTokens: 2 });
  const plain = model.liveBytes;
  await model.loadAdapter({ name: "a", location: "test/golden/data/lora/glm_ocr-tiny/language" });
  await leave(model, 1, { adapters: ["a"] });
  await model.unloadAdapter("a");
  assert.ok(model.liveBytes > plain);
  assert.ok(await collectUntil(() => model.liveBytes <= plain));
  await model.dispose();
});

test("a generator that was not started holds nothing, and one that is held keeps what it has", async () => {
  const model = await loadModel(MODEL, { backend: "wasm" });
  const expected = await model.complete(asking, { maxTokens: 6 });
  const before = model.liveBytes;
  const notStarted = model.generate(asking, { maxTokens: 6 });
  assert.is(model.liveBytes, before);
  const started = model.generate(asking, { maxTokens: 6 });
  const ids = [((await started.next()).value as { tokenId: number }).tokenId];
  await collectUntil(() => false, 20);
  for await (const { tokenId } of started) ids.push(tokenId);
  assert.equal(ids, expected.tokenIds);
  assert.is((await notStarted.next()).done, false);
  await notStarted.return({} as never);
  await model.dispose();
});

test.run();
