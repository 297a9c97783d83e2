/** The golden models on the emulated CUDA backend with float32 activations, judged as strictly as on CPU backends. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { createCudaBackend } from "../../src/backends/cuda/backend.node.ts";
import { EMULATOR_PATH } from "../bindings/emulator.ts";
import { goldenCases, goldenCheckpoints } from "../golden/load.ts";
import { argmax, largestDifference } from "./difference.ts";
import { openStages } from "./open-stages.ts";

/** Largest absolute difference of a logit or feature from transformers in float32. */
const TOLERANCE = 1e-3;

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
}

test.run();
