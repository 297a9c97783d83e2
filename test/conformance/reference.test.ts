/** The reference backend runs every case, in each activation type, and keeps to its own memory. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { referenceBackend } from "../../src/backends/reference/backend.ts";
import { runConformance } from "../../src/conformance/conformance.ts";

for (const activation of ["f32", "bf16", "f16"] as const) {
  test(`reference, ${activation} activations`, async () => {
    const results = await runConformance(referenceBackend, { activation });
    const failures = results
      .filter(({ ok }) => !ok)
      .map(({ caseName, failure }) => `${caseName}: ${failure}`);
    assert.equal(failures, []);
  });
}

test.run();
