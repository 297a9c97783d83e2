/** Large inputs are copied to the worker in turns: what may come between them. */
import { pathToFileURL } from "node:url";
import { runInNewContext } from "node:vm";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { GlimtError, Message, Model, ProcessedInputs } from "../../src/index.ts";

const CHECKPOINT = "test/golden/data/glm_ocr-tiny";

/** The built package: the worker's file lies beside it. */
const { loadModel } = (await import(
  pathToFileURL("dist/index.js").href
)) as typeof import("../../src/index.ts");

let model: Model;
test.before(async () => {
  model = await loadModel(CHECKPOINT, { backend: "wasm", threads: 1, worker: true });
});
test.after(() => model.dispose());

/** Large enough that no turn holds all of it. */
const pixels = () => ({ width: 8000, height: 4000, data: new Uint8Array(8000 * 4000 * 3).fill(200) });
const asking = (image: ReturnType<typeof pixels>) =>
  [{ role: "user", content: [{ type: "image", image }] }] as Message[];
const codeOf = (answer: Promise<unknown>) =>
  answer.then(
    () => "none",
    ({ code, message }: GlimtError) => `${code}: ${message}`,
  );

for (const [where, bytes] of [
  ["here", new Uint8Array(8000 * 4000 * 3).fill(200)],
  ["in another window", runInNewContext("new Uint8Array(8000 * 4000 * 3).fill(200)")],
] as const) {
  test(`the thread has turns while they are copied, made ${where}`, async () => {
    const image = { ...pixels(), data: bytes as Uint8Array<ArrayBuffer> };
    // The bytes that come last are still the caller's to change in the first turn.
    const whole = await model.process(asking(image));
    const changed = model.process(asking(image));
    await new Promise(setImmediate);
    image.data.fill(0, image.data.length / 2);
    assert.is.not(Math.min(...tail(await changed)), Math.min(...tail(whole)));
  });
}

/** The last pixels. */
const tail = ({ pixelValues }: { readonly pixelValues: Float32Array | null }) =>
  (pixelValues as Float32Array).slice(-100);

test("a buffer that is handed to somebody else meanwhile is refused, and the worker goes on", async () => {
  const image = pixels();
  const refused = codeOf(model.process(asking(image)));
  structuredClone(image.data.buffer, { transfer: [image.data.buffer] });
  assert.match(await refused, /^INPUT_INVALID: A buffer of 96000000 bytes was handed to somebody else/);
  assert.is((await model.tokenize("a")).length > 0, true);
});

test("an abort meanwhile ends the call, which is copied no further", async () => {
  const control = new AbortController();
  const first = model.process(asking(pixels()), { signal: control.signal });
  const aborted = codeOf(first);
  const behind = codeOf(model.tokenize("a"));
  control.abort(new Error("my reason"));
  assert.match(await aborted, /^ABORTED: /);
  assert.is(((await first.catch(({ cause }) => cause)) as Error).message, "my reason");
  assert.match(await codeOf(model.process(asking(pixels()), { signal: AbortSignal.abort() })), /^ABORTED: /);
  assert.is(await behind, "none");
});

test("Node warns of no leak where many calls have one signal", async () => {
  const warnings: string[] = [];
  const heard = ({ message }: Error) => warnings.push(message);
  process.on("warning", heard);
  const { signal } = new AbortController();
  const question: Message[] = [{ role: "user", content: "a" }];
  await Promise.all(Array.from({ length: 12 }, () => model.complete(question, { maxTokens: 1, signal })));
  await new Promise(setImmediate);
  process.off("warning", heard);
  assert.equal(warnings, []);
});

test("calls take effect in the order in which they are made", async () => {
  const lora = "test/golden/data/lora/glm_ocr-tiny";
  const other = await loadModel(CHECKPOINT, { backend: "wasm", threads: 1, worker: true });
  await other.loadAdapter({ name: "a", location: `${lora}/vision` });
  const answer = codeOf(other.complete(asking(pixels()), { adapters: ["a"], maxTokens: 2 }));
  const left = codeOf(other.unloadAdapter("a"));
  assert.is(await answer, "none");
  assert.is(await left, "none");
  await other.dispose();
});

test("of many large calls at once one is copied at a time, so that they hold the thread no longer than one", async () => {
  const images = Array.from({ length: 8 }, pixels);
  const calls = images.map((image) => model.process(asking(image)));
  await new Promise(setImmediate);
  // Nothing of the last one was read yet.
  images.at(-1)?.data.fill(0);
  const results = await Promise.all(calls);
  const [first, last] = [results[0], results.at(-1)] as [ProcessedInputs, ProcessedInputs];
  const brightest = ({ pixelValues }: ProcessedInputs) =>
    Math.max(...(pixelValues as Float32Array).slice(0, 1000));
  assert.ok(brightest(last) < brightest(first));
});

test("what is small beside something large has the bytes of the moment of the call", async () => {
  const small = { width: 84, height: 56, data: new Uint8Array(84 * 56 * 3).fill(200) };
  const content = [small, pixels()].map((image) => ({ type: "image" as const, image }));
  const ask = () => model.process([{ role: "user", content }]);
  const before = (await ask()).visionItems[0] as { readonly pixelValues: Float32Array };
  const asked = ask();
  small.data.fill(0);
  const after = (await asked).visionItems[0] as { readonly pixelValues: Float32Array };
  assert.equal(after.pixelValues, before.pixelValues);
});

test("an option that calls the model while it is read leaves its run whole", async () => {
  const options = {
    ignoreEos: true,
    get maxTokens() {
      model.tokenize("x");
      return 200;
    },
  };
  let count = 0;
  for await (const _ of model.generate([{ role: "user", content: "hello" }], options)) count++;
  assert.ok(count > 64, `${count} events`);
});

test("a run that is left meanwhile ends", async () => {
  const run = model.generate(asking(pixels()));
  const first = codeOf(run.next());
  run.abort();
  assert.match(await first, /^ABORTED: /);
  await run.return();
  assert.is(model.stats().running, 0);
});

test("a model that is disposed of meanwhile says so", async () => {
  const other = await loadModel(CHECKPOINT, { backend: "wasm", threads: 1, worker: true });
  const pending = codeOf(other.process(asking(pixels())));
  await other.dispose();
  assert.match(await pending, /^DISPOSED: /);
});

test.run();
