/** Of a batch-invariant engine on the emulator: a row does not depend on those beside it, whatever kernels there are. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { createCudaBackend } from "../../src/backends/cuda/backend.node.ts";
import type { OpCase } from "../../src/conformance/case.ts";
import { OP_CASES } from "../../src/conformance/cases.ts";
import { EMULATOR_PATH } from "../bindings/emulator.ts";
import { OPS_WITH_ROWS, rowDifferences } from "./rows-alone.ts";

for (const activations of ["bf16", "f32"] as const) {
  const backend = createCudaBackend({ addonPath: EMULATOR_PATH, activations });
  for (const op of OPS_WITH_ROWS) {
    test(`${op}, ${activations} activations`, async () => {
      await backend.probe();
      const engine = await backend.open({ batchInvariant: true });
      const differences = await rowDifferences(engine, op, activations, () => true);
      engine.dispose();
      assert.is(differences.length, 0, differences.slice(0, 5).join("\n"));
    });
  }
}

test("rows of the usual kernels do depend on their number", async () => {
  const backend = createCudaBackend({ addonPath: EMULATOR_PATH, activations: "bf16" });
  await backend.probe();
  const engine = await backend.open();
  const isBf16 = ({ weight }: OpCase) => weight === "bf16";
  assert.ok(OP_CASES.linear().some(isBf16));
  assert.ok((await rowDifferences(engine, "linear", "bf16", isBf16)).length > 0);
  engine.dispose();
});

test.run();
