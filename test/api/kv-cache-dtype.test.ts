/** `kvCacheDtype`: a cache in bf16 or q8 under f32 activations takes fewer bytes and answers nearly the same. */
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { checkFormats } from "../../src/api/check-formats.ts";
import { referenceBackend } from "../../src/backends/reference/backend.ts";
import { type LoadOptions, loadModel } from "../../src/index.ts";
import { goldenDataDir } from "../golden/load.ts";

async function answer(checkpoint: string, options: LoadOptions) {
  const model = await loadModel(join(goldenDataDir, checkpoint), options);
  const { kvCache } = await model.plan({ textTokens: 100, maxTokens: 10 });
  const text = Array.from({ length: 40 }, (_, index) => `word ${index}`).join(" ");
  // The second token's logits are of a step of decoding, over a cache that the pool grew for.
  const { topLogits } = await model.complete([{ role: "user", content: text }], { maxTokens: 2 });
  await model.dispose();
  return { kvCache, logits: new Map(topLogits) };
}

/** A checkpoint that can have it, and its bytes as a share of f32. */
const CACHES = [
  ["bf16", "glm4v-tiny", 1 / 2],
  ["q8", "glm_ocr-tiny", 34 / 128],
] as const;

for (const [backend, [kvCacheDtype, checkpoint, share]] of (["wasm", "reference"] as const).flatMap((name) =>
  CACHES.map((cache) => [name, cache] as const),
)) {
  test(`${backend}: a ${kvCacheDtype} cache has fewer bytes, and logits near those of f32`, async () => {
    const exact = await answer(checkpoint, { backend });
    const rounded = await answer(checkpoint, { backend, kvCacheDtype });
    assert.is(rounded.kvCache.bytes, exact.kvCache.bytes * share);
    let [difference, size] = [0, 0];
    for (const [token, value] of exact.logits) {
      difference += ((rounded.logits.get(token) ?? value) - value) ** 2;
      size += value ** 2;
    }
    const apart = Math.sqrt(difference / size);
    assert.ok(apart > 0 && apart < 0.01, `${apart}`);
  });
}

test("q8 is refused where heads are no whole blocks, before weights are read", async () => {
  const error = await loadModel(join(goldenDataDir, "glm4v-tiny"), {
    backend: "wasm",
    kvCacheDtype: "q8",
  }).then(
    () => assert.unreachable(),
    (error) => error,
  );
  assert.is(error.code, "OPTION_INVALID");
  assert.match(
    error.message,
    /kvCacheDtype is "q8".*blocks of 32.*heads have 16.*Choose another kvCacheDtype/,
  );
});

test("a backend that has no such cache says so, with the option's name", () => {
  const lacking = {
    ...referenceBackend,
    supports: () => ({ ok: false, reason: "x: attention_paged has an f32 cache only." }) as const,
  };
  assert.throws(
    () => checkFormats(lacking, { headDim: 64 }, { kvCacheDtype: "bf16" }),
    (error: { code: string; message: string }) =>
      error.code === "OPTION_INVALID" &&
      error.message.startsWith('kvCacheDtype is "bf16", but x: attention_paged'),
  );
});

test.run();
