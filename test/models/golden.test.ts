/** The graphs against Hugging Face transformers, from its pixel values and token ids on, on both CPU backends. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { referenceBackend } from "../../src/backends/reference/backend.ts";
import { wasmBackend } from "../../src/backends/wasm/backend.ts";
import { goldenCases, goldenCheckpoints } from "../golden/load.ts";
import { openStages } from "./open-stages.ts";

/** Largest absolute difference of a logit or feature from transformers in float32. */
const TOLERANCE = 1e-3;

for (const backend of [referenceBackend, wasmBackend]) {
  for (const checkpoint of goldenCheckpoints()) {
    test(`${checkpoint} on ${backend.name}: features, logits and 24 greedy tokens are transformers'`, async () => {
      const cases = goldenCases(checkpoint);
      const stages = await openStages(backend, cases[0]?.checkpointDir as string);
      for (const golden of cases) {
        const features = await stages.encode(golden);
        assert.is(features === null, golden.visionEmbeddings === null, golden.name);
        if (features && golden.visionEmbeddings) {
          assertClose(features, golden.visionEmbeddings.data, `${golden.name}: vision embeddings`);
        }
        const logits = await stages.decode(golden);
        assertClose(logits[0] as Float32Array, golden.lastLogits.data, `${golden.name}: logits`);
        assert.equal(logits.map(argmax), golden.greedyIds, `${golden.name}: greedy tokens`);
      }
      stages.dispose();
    });
  }
}

for (const chunk of [1, 7, 16, 17]) {
  test(`a prompt read ${chunk} tokens at a time gives the same answer`, async () => {
    for (const checkpoint of goldenCheckpoints()) {
      const [golden] = goldenCases(checkpoint).filter(({ pixelValues }) => pixelValues);
      if (!golden) continue;
      const stages = await openStages(wasmBackend, golden.checkpointDir);
      const logits = await stages.decode(golden, chunk);
      assertClose(logits[0] as Float32Array, golden.lastLogits.data, golden.name);
      assert.equal(logits.map(argmax), golden.greedyIds, golden.name);
      stages.dispose();
    }
  });
}

test("without the compiler's passes the same is computed", async () => {
  for (const checkpoint of goldenCheckpoints()) {
    const [golden] = goldenCases(checkpoint).filter(({ pixelValues }) => pixelValues);
    if (!golden) continue;
    const stages = await openStages(referenceBackend, golden.checkpointDir, { passes: [] });
    const [logits] = await stages.decode({ ...golden, greedyIds: [] });
    assertClose(logits as Float32Array, golden.lastLogits.data, golden.name);
    stages.dispose();
  }
});

function assertClose(found: Float32Array, expected: Float32Array, what: string): void {
  assert.is(found.length, expected.length, what);
  let difference = 0;
  expected.forEach((value, index) => {
    // Math.max keeps a NaN.
    difference = Math.max(difference, Math.abs(value - (found[index] as number)));
  });
  assert.ok(difference <= TOLERANCE, `${what} differ by ${difference}`);
}

function argmax(values: Float32Array): number {
  return values.indexOf(values.reduce((best, value) => Math.max(best, value), Number.NEGATIVE_INFINITY));
}

test.run();
