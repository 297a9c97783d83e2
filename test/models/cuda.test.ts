/** The golden models on the emulated CUDA backend: float32 activations judged as strictly as on CPU backends, bf16 by agreement. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { createCudaBackend } from "../../src/backends/cuda/backend.node.ts";
import { EMULATOR_PATH } from "../bindings/emulator.ts";
import { goldenCases, goldenCheckpoints } from "../golden/load.ts";
import { openStages } from "./open-stages.ts";

/** Largest absolute difference of a logit or feature from transformers in float32. */
const TOLERANCE = 1e-3;
/** bf16 keeps 8 bits, and layers add up: share of the logits' spread that an error may be. */
const BF16_TOLERANCE = 0.05;

for (const checkpoint of goldenCheckpoints()) {
  const cases = goldenCases(checkpoint);
  const directory = cases[0]?.checkpointDir as string;

  test(`${checkpoint} with f32 activations: features, logits and 24 greedy tokens are transformers'`, async () => {
    const stages = await openStages(
      createCudaBackend({ addonPath: EMULATOR_PATH, activations: "f32" }),
      directory,
    );
    for (const golden of cases) {
      const features = await stages.encode(golden);
      if (features && golden.visionEmbeddings) {
        const difference = largestDifference(features, golden.visionEmbeddings.data);
        assert.ok(difference <= TOLERANCE, `${golden.name}: vision embeddings differ by ${difference}`);
      }
      const logits = await stages.decode(golden);
      const difference = largestDifference(logits[0] as Float32Array, golden.lastLogits.data);
      assert.ok(difference <= TOLERANCE, `${golden.name}: logits differ by ${difference}`);
      assert.equal(logits.map(argmax), golden.greedyIds, `${golden.name}: greedy tokens`);
    }
    stages.dispose();
  });

  test(`${checkpoint} with bf16 activations: logits near, tokens equal wherever the margin allows no other`, async () => {
    const stages = await openStages(
      createCudaBackend({ addonPath: EMULATOR_PATH, activations: "bf16" }),
      directory,
    );
    let [agreed, total, worst] = [0, 0, 0];
    for (const golden of cases) {
      const logits = await stages.decode(golden);
      const expected = golden.lastLogits.data;
      const spread = Math.max(...expected) - Math.min(...expected);
      const difference = largestDifference(logits[0] as Float32Array, expected);
      worst = Math.max(worst, difference / spread);
      assert.ok(difference <= BF16_TOLERANCE * spread, `${golden.name}: logits differ by ${difference}`);
      logits.map(argmax).forEach((token, index) => {
        total += 1;
        if (token === golden.greedyIds[index]) agreed += 1;
        else {
          const margin = golden.greedyMargins[index] as number;
          assert.ok(
            margin <= 2 * BF16_TOLERANCE * spread,
            `${golden.name}: token ${index}, margin ${margin}`,
          );
        }
      });
    }
    stages.dispose();
    console.log(
      `${checkpoint}, bf16: ${agreed} of ${total} greedy tokens, logits within ${worst.toFixed(4)} of their spread`,
    );
  });
}

function largestDifference(found: Float32Array, expected: Float32Array): number {
  assert.is(found.length, expected.length);
  // Math.max keeps a NaN, which no tolerance allows.
  return expected.reduce(
    (most, value, index) => Math.max(most, Math.abs(value - (found[index] as number))),
    0,
  );
}

function argmax(values: Float32Array): number {
  return values.indexOf(values.reduce((best, value) => Math.max(best, value), Number.NEGATIVE_INFINITY));
}

test.run();
