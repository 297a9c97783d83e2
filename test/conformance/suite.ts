/** The tests of a backend against the reference backend: every op's cases, the goldens, the engine contract. */
import type { Test } from "uvu";
import * as assert from "uvu/assert";
import type { Backend } from "../../src/backends/backend.ts";
import { caseName } from "../../src/conformance/case.ts";
import { compareRuns, TOLERANCES } from "../../src/conformance/compare.ts";
import { type ActivationDType, runConformance } from "../../src/conformance/conformance.ts";
import { runCase } from "../../src/conformance/harness.ts";
import { LOCAL_OPS } from "../../src/graph/ops.ts";
import type { WeightFormat } from "../../src/tensor/storage.ts";
import { engineContract } from "./engine-contract.ts";
import { GOLDEN_CASES } from "./golden.ts";

/** Failing cases shown in full; the rest is counted. */
const SHOWN = 12;

/** What a backend need not have. */
interface Lacking {
  readonly weights?: readonly WeightFormat[];
  /** KV caches of another type than the activations. */
  readonly otherCaches?: boolean;
}

/** Every op must be supported for these activations, in every format but those that the backend lacks. */
export function backendSuite(
  test: Test,
  backend: Backend,
  activations: readonly ActivationDType[],
  { weights = [], otherCaches = false }: Lacking = {},
): void {
  for (const activation of activations) {
    for (const op of LOCAL_OPS) {
      test(`${backend.name} ${op}, ${activation} activations`, async () => {
        const results = await runConformance(backend, { ops: [op], activation });
        const complaints = results
          .filter(({ ok, skippedReason: reason, weight }) => {
            const isLacking =
              (weights.includes(weight) && reason?.includes(`no kernel for ${weight} weights`)) ||
              (otherCaches && reason?.includes(`${activation} activations has a ${activation} cache only`));
            return !ok || (reason !== undefined && !isLacking);
          })
          .map((result) => `${result.caseName}: ${result.failure ?? `skipped, ${result.skippedReason}`}`);
        const rest = complaints.length > SHOWN ? [`and ${complaints.length - SHOWN} more`] : [];
        assert.is([...complaints.slice(0, SHOWN), ...rest].join("\n"), "");
        assert.ok(results.length > 0);
      });
    }
    test(`${backend.name} op goldens, ${activation} activations`, async () => {
      const engine = await backend.open();
      for (const { test: golden, expected } of GOLDEN_CASES) {
        const { failure } = compareRuns(
          expected,
          await runCase(engine, golden, activation),
          TOLERANCES[activation],
        );
        assert.is(failure, undefined, caseName(golden));
      }
      engine.dispose();
    });
  }
  engineContract(test, backend);
}
