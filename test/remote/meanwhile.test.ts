/** Large inputs are copied to the worker in turns: what may come between them. */
import { pathToFileURL } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { GlimtError, Message, Model } from "../../src/index.ts";

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

test("the thread has turns while they are copied", async () => {
  const image = pixels();
  // The bytes that come last are still the caller's to change in the first turn.
  const whole = await model.process(asking(image));
  const changed = model.process(asking(image));
  await new Promise(setImmediate);
  image.data.fill(0, image.data.length / 2);
  assert.is.not(Math.min(...tail(await changed)), Math.min(...tail(whole)));
});

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

test("an abort meanwhile ends the call", async () => {
  const control = new AbortController();
  const aborted = codeOf(model.complete(asking(pixels()), { signal: control.signal }));
  control.abort();
  assert.match(await aborted, /^ABORTED: /);
  assert.match(await codeOf(model.process(asking(pixels()), { signal: AbortSignal.abort() })), /^ABORTED: /);
});

test("a run that is left meanwhile ends", async () => {
  const run = model.generate(asking(pixels()));
  const first = codeOf(run.next());
  run.abort();
  assert.match(await first, /^ABORTED: |^none$/);
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
