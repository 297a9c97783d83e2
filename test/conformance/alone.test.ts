/** A row's result does not depend on the rows beside it: batching, prefix caches and speculation rest on that. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Backend } from "../../src/backends/backend.ts";
import { referenceBackend } from "../../src/backends/reference/backend.ts";
import { wasmBackend } from "../../src/backends/wasm/backend.ts";
import type { OpCase } from "../../src/conformance/case.ts";
import { OP_CASES } from "../../src/conformance/cases.ts";
import { LOCAL_OPS } from "../../src/graph/ops.ts";
import { isBlockFormat } from "../../src/tensor/storage.ts";
import { partsAlone } from "./chosen-rows.ts";
import { COMPOSED, NO_ROWS, OPS_WITH_ROWS, rowDifferences } from "./rows-alone.ts";

/** How the reference sums does not depend on how weights are stored, but for blocks; WebAssembly has no fp8. */
const isWanted = (backend: Backend, { weight }: OpCase) =>
  backend.name === "reference" ? weight === "f32" || isBlockFormat(weight) : weight !== "fp8";

/** Enough rows for every way that a kernel has, few enough for the reference; attention has more beside it. */
const MOST_ROWS = 9;
const MOST_QUERIES = 40;
const isSmall = ({ symbols: { m, t, s } }: OpCase) =>
  (m ?? t ?? 0) <= (s === undefined ? MOST_ROWS : MOST_QUERIES);

for (const backend of [referenceBackend, wasmBackend]) {
  for (const op of OPS_WITH_ROWS) {
    test(`${backend.name} ${op}: a row does not depend on those beside it`, async () => {
      const engine = await backend.open();
      const items = OP_CASES[op]().filter((item) => isWanted(backend, item) && isSmall(item));
      const differences = await rowDifferences(engine, items, "f32");
      engine.dispose();
      assert.is(differences.length, 0, differences.slice(0, 5).join("\n"));
    });
  }
}

test("every op has rows that can be alone, or is known to have none", () => {
  const without = LOCAL_OPS.filter((op) => OP_CASES[op]().every((item) => partsAlone(item).length === 0));
  assert.equal(without.sort(), [...NO_ROWS, ...COMPOSED].sort());
});

test.run();
