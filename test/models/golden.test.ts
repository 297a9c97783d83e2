/** The graphs against Hugging Face transformers, from its pixel values and token ids on, on both CPU backends. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { referenceBackend } from "../../src/backends/reference/backend.ts";
import { wasmBackend } from "../../src/backends/wasm/backend.ts";
import { compareRuns, TOLERANCES } from "../../src/conformance/compare.ts";
import type { CaseRun } from "../../src/conformance/harness.ts";
import { goldenCases, goldenCheckpoints } from "../golden/load.ts";
import { argmax } from "./difference.ts";
import { openStages } from "./open-stages.ts";

/** Largest absolute difference of a logit or feature from transformers in float32. */
const TOLERANCE = 1e-3;

/** The reference's logits by case: what wasm is held against too. */
const judged = new Map<string, Float32Array[]>();

for (const backend of [referenceBackend, wasmBackend]) {
  for (const checkpoint of goldenCheckpoints()) {
    test(`${checkpoint} on ${backend.name}: features, logits and 24 greedy tokens are transformers'`, async () => {
      const cases = goldenCases(checkpoint);
      const worst = { features: 0, logits: 0, relative: 0 };
      const stages = await openStages(backend, cases[0]?.checkpointDir as string);
      for (const golden of cases) {
        const features = await stages.encode(golden);
        assert.is(features === null, golden.visionEmbeddings === null, golden.name);
        if (features && golden.visionEmbeddings) {
          const found = assertClose(
            features,
            golden.visionEmbeddings.data,
            `${golden.name}: vision embeddings`,
          );
          worst.features = Math.max(worst.features, found);
        }
        const logits = await stages.decode(golden);
        const found = assertClose(
          logits[0] as Float32Array,
          golden.lastLogits.data,
          `${golden.name}: logits`,
        );
        worst.logits = Math.max(worst.logits, found);
        assert.equal(logits.map(argmax), golden.greedyIds, `${golden.name}: greedy tokens`);
        const reference = judged.get(golden.name) ?? logits;
        judged.set(golden.name, reference);
        const difference = compareRuns(asRun(reference), asRun(logits), TOLERANCES.f32);
        assert.is(difference.failure, undefined, golden.name);
        worst.relative = Math.max(worst.relative, difference.maxRel);
      }
      stages.dispose();
      const [features, logits, relative] = Object.values(worst).map((value) => value.toExponential(1));
      console.log(
        `${checkpoint} on ${backend.name}: ${cases.length} cases, largest differences from transformers: ` +
          `features ${features}, logits ${logits}; from the reference backend: ${relative} relative`,
      );
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

function asRun(logits: readonly Float32Array[]): CaseRun {
  return { outputs: Object.fromEntries(logits.entries()), strayWrites: [] };
}

/** @returns the largest difference. */
function assertClose(found: Float32Array, expected: Float32Array, what: string): number {
  assert.is(found.length, expected.length, what);
  let difference = 0;
  expected.forEach((value, index) => {
    // Math.max keeps a NaN.
    difference = Math.max(difference, Math.abs(value - (found[index] as number)));
  });
  assert.ok(difference <= TOLERANCE, `${what} differ by ${difference}`);
  return difference;
}

test.run();
