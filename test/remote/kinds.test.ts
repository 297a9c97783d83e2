/** What kinds of models live in a worker: every backend that runs there, and copies that answer as one. */
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { LoadOptions } from "../../src/index.ts";

const CHECKPOINT = resolve("examples/demo/checkpoint");
const PICTURE = resolve("examples/demo/pictures/hello.png");

/** The built package: the worker's file lies beside it. */
const { loadModel } = (await import(
  pathToFileURL("dist/index.js").href
)) as typeof import("../../src/index.ts");

/** What each of `count` requests that are asked at once answers in a worker, and what the model says it runs on. */
async function answers(options: LoadOptions, count: number, maxTokens: number) {
  const model = await loadModel(CHECKPOINT, { ...options, worker: true });
  const content = [
    { type: "image" as const, image: PICTURE },
    { type: "text" as const, text: "Text Recognition:" },
  ];
  const ask = async () => (await model.complete([{ role: "user", content }], { maxTokens })).text;
  try {
    const texts = await Promise.all(Array.from({ length: count }, ask));
    return { texts, backend: model.backend };
  } finally {
    await model.dispose();
    assert.is(model.liveBytes, 0);
  }
}

test("the reference backend", async () => {
  const { texts, backend } = await answers({ backend: "reference" }, 1, 2);
  assert.is(backend.name, "reference");
  assert.ok("Hello world".startsWith(texts[0] as string) && texts[0] !== "", texts[0]);
});

test("copies that answer as one", async () => {
  const { texts, backend } = await answers({ backend: "wasm", threads: 1, dataParallel: 2 }, 3, 24);
  assert.match(backend.description, /2 copies/);
  assert.equal(texts, ["Hello world", "Hello world", "Hello world"]);
});

test.run();
