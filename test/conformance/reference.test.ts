/** The judge's judge: the reference backend against torch and transformers, then every case for stray writes. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { referenceBackend } from "../../src/backends/reference/backend.ts";
import { caseName } from "../../src/conformance/case.ts";
import { compareRuns, TOLERANCES } from "../../src/conformance/compare.ts";
import { runConformance } from "../../src/conformance/conformance.ts";
import { runCase } from "../../src/conformance/harness.ts";
import { LOCAL_OPS, OPS } from "../../src/graph/ops.ts";
import { engineContract } from "./engine-contract.ts";
import { GOLDEN_CASES } from "./golden.ts";

/** Float64 accumulation leaves only the rounding of what is stored. */
const GOLDEN_TOLERANCES = { f32: 1e-6, f16: TOLERANCES.f16, bf16: TOLERANCES.bf16 };

for (const activation of ["f32", "bf16", "f16"] as const) {
  for (const golden of GOLDEN_CASES) {
    test(`${caseName(golden.test)}, ${activation}`, async () => {
      const engine = await referenceBackend.open();
      const run = await runCase(engine, golden.test, activation);
      assert.is(compareRuns(golden.expected, run, GOLDEN_TOLERANCES[activation]).failure, undefined);
    });
  }
}

test("every op that computes has a golden case", () => {
  const golden = new Set(GOLDEN_CASES.map(({ test: { op } }) => op));
  assert.equal(
    LOCAL_OPS.filter((op) => !("view" in OPS[op]) && !golden.has(op)),
    [],
  );
});

test("every conformance case runs, has a name of its own, and writes only to its outputs", async () => {
  const results = await runConformance(referenceBackend);
  const failures = results.filter(({ ok }) => !ok).map((result) => `${result.caseName}: ${result.failure}`);
  assert.equal(failures, []);
  assert.is(new Set(results.map(({ caseName }) => caseName)).size, results.length);
});

engineContract(test, referenceBackend);

test.run();
