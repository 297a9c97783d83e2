/** The golden models on the emulated CUDA backend with bf16 activations: logits near, and how many tokens agree. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { createCudaBackend } from "../../src/backends/cuda/backend.node.ts";
import { EMULATOR_PATH } from "../bindings/emulator.ts";
import { goldenCases, goldenCheckpoints } from "../golden/load.ts";
import { argmax, largestDifference } from "./difference.ts";
import { openStages } from "./open-stages.ts";

/** bf16 keeps 8 bits, and layers add up: share of the logits' spread that an error may be. */
const BF16_TOLERANCE = 0.05;

for (const checkpoint of goldenCheckpoints()) {
  const cases = goldenCases(checkpoint);
  const directory = cases[0]?.checkpointDir as string;

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

test.run();
