/** What q8 and q4 cost, in the small: `npm run bench -- quality` has the whole table. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { agreement } from "../../bench/quality/agreement.ts";
import { type ForcedText, forcedLogits } from "../../bench/quality/forced.ts";
import {
  demoModel,
  demoOnRandomTexts,
  demoPictures,
  type QualityModel,
  randomModel,
  type Storage,
} from "../../bench/quality/models.ts";
import { wasmBackend } from "../../src/backends/wasm/backend.ts";

test("agreement: leads, choices and divergence by hand", () => {
  const expected = [[Float32Array.of(0, 1, 0), Float32Array.of(0.3, 0, 0)], [Float32Array.of(2, 0, 0)]];
  const found = [[Float32Array.of(0, 1, 0), Float32Array.of(0, 0.3, 0)], [Float32Array.of(0, 2, 0)]];
  const { positions, clear, top1, top1OfAll, kl, sameTexts } = agreement(expected, found);
  assert.equal([positions, clear, top1, top1OfAll, sameTexts], [3, 2 / 3, 1 / 2, 1 / 3, 0]);
  const swapped = (x: number) => (x * (Math.exp(x) - 1)) / (Math.exp(x) + 2);
  assert.ok(Math.abs(kl - (swapped(0.3) + swapped(2)) / 3) < 1e-6);
  assert.equal(agreement(expected, expected), {
    ...agreement(expected, found),
    top1: 1,
    top1OfAll: 1,
    kl: 0,
    sameTexts: 1,
  });
});

/** f32's logits and texts, once a model. */
async function judged(model: QualityModel) {
  const stages = await model.open(wasmBackend, { dtype: "f32" });
  const texts: readonly ForcedText[] = await model.texts(stages);
  const expected = await forcedLogits(stages, texts);
  stages.engine.dispose();
  return async (storage: Storage) => {
    const opened = await model.open(wasmBackend, storage);
    const found = await forcedLogits(opened, texts);
    opened.engine.dispose();
    return agreement(expected, found);
  };
}

test("the demo reads its pictures as in f32, whatever is stored in blocks", async () => {
  const compare = await judged(await demoModel(demoPictures(undefined)));
  for (const [storage, most] of [
    [{ dtype: "q8" }, 1e-4],
    [{ dtype: "q8", visionDtype: "q8" }, 1e-3],
    [{ dtype: "q4" }, 5e-3],
  ] as const) {
    const { top1, clear, kl, sameTexts } = await compare(storage);
    assert.equal([top1, clear, sameTexts], [1, 1, 1], JSON.stringify(storage));
    assert.ok(kl < most, `${JSON.stringify(storage)}: KL ${kl}`);
  }
});

test("the demo on random texts: q8 chooses as f32 in 99.5 % of clear positions, q4 in 97 %", async () => {
  const compare = await judged(await demoOnRandomTexts(demoPictures(undefined), 8, 48));
  const [q8, q4] = [await compare({ dtype: "q8" }), await compare({ dtype: "q4" })];
  assert.ok(q8.clear > 0.5 && q8.top1 >= 0.995, `q8: ${q8.top1}`);
  assert.ok(q4.top1 >= 0.97, `q4: ${q4.top1}`);
  assert.ok(q8.kl < q4.kl);
});

test("random weights: q8 chooses as f32 in 99.5 % of clear positions", async () => {
  const compare = await judged(randomModel({ hiddenSize: 128, layers: 3, vocabSize: 512 }, 4, 32));
  const { clear, top1 } = await compare({ dtype: "q8" });
  assert.ok(clear > 0.3 && top1 >= 0.995, `${top1}`);
});

test.run();
