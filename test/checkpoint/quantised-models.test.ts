/** Whole models of quantised weights answer as transformers does with the values that these stand for. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { wasmBackend } from "../../src/backends/wasm/backend.ts";
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { goldenCase } from "../golden/load.ts";
import { argmax } from "../models/difference.ts";
import { openStages } from "../models/open-stages.ts";
import { float32 } from "../mrope/golden.ts";
import { openFixture, quantisedFixtures } from "./quantised-fixtures.ts";

/** Largest difference of a logit from transformers in float32, as for the checkpoints themselves. */
const TOLERANCE = 1e-3;

for (const fixture of quantisedFixtures) {
  test(`${fixture.name} (${fixture.base})`, async () => {
    const checkpoint = await openCheckpoint(await openFixture(fixture));
    const golden = { ...goldenCase(fixture.base, "one-image"), greedyIds: fixture.greedyIds };
    const stages = await openStages(wasmBackend, checkpoint, {}, { dtype: "f32" });
    const found = await stages.decode(golden);
    stages.dispose();
    const logits = float32(fixture.lastLogits);
    const difference = Math.max(
      ...logits.map((value, index) => Math.abs(value - (found[0]?.[index] ?? Number.NaN))),
    );
    assert.ok(difference <= TOLERANCE, `logits differ by ${difference}`);
    assert.equal(found.map(argmax), fixture.greedyIds);
  });
}

test.run();
