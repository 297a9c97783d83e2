/** `kvCacheDtype`: a cache in bf16 under f32 activations takes half the bytes and answers nearly the same. */
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { checkFormats } from "../../src/api/check-formats.ts";
import { referenceBackend } from "../../src/backends/reference/backend.ts";
import { type LoadOptions, loadModel } from "../../src/index.ts";
import { goldenDataDir } from "../golden/load.ts";

async function answer(options: LoadOptions) {
  const model = await loadModel(join(goldenDataDir, "glm4v-tiny"), options);
  const { kvCache } = model.plan({ textTokens: 100, maxTokens: 10 });
  const text = Array.from({ length: 40 }, (_, index) => `word ${index}`).join(" ");
  // The second token's logits are of a step of decoding, over a cache that the pool grew for.
  const { topLogits } = await model.complete([{ role: "user", content: text }], { maxTokens: 2 });
  await model.dispose();
  return { kvCache, logits: new Map(topLogits) };
}

for (const backend of ["wasm", "reference"] as const) {
  test(`${backend}: a bf16 cache has half the bytes, and logits near those of f32`, async () => {
    const exact = await answer({ backend });
    const rounded = await answer({ backend, kvCacheDtype: "bf16" });
    assert.is(rounded.kvCache.bytes, exact.kvCache.bytes / 2);
    let [difference, size] = [0, 0];
    for (const [token, value] of exact.logits) {
      difference += ((rounded.logits.get(token) ?? value) - value) ** 2;
      size += value ** 2;
    }
    const apart = Math.sqrt(difference / size);
    assert.ok(apart > 0 && apart < 0.01, `${apart}`);
  });
}

test("a backend that has no such cache says so, with the option's name", () => {
  const lacking = {
    ...referenceBackend,
    supports: () => ({ ok: false, reason: "x: attention_paged has an f32 cache only." }) as const,
  };
  assert.throws(
    () => checkFormats(lacking, { kvCacheDtype: "bf16" }),
    (error: { code: string; message: string }) =>
      error.code === "OPTION_INVALID" &&
      error.message.startsWith('kvCacheDtype is "bf16", but x: attention_paged'),
  );
});

test.run();
