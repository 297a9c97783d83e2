/** Of a batch-invariant engine on the emulator: a row does not depend on those beside it, whatever kernels there are. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { createCudaBackend } from "../../src/backends/cuda/backend.node.ts";
import type { OpCase } from "../../src/conformance/case.ts";
import { OP_CASES } from "../../src/conformance/cases.ts";
import { EMULATOR_PATH } from "../bindings/emulator.ts";
import { cancellingAttention, cancellingProducts } from "./cancelling-cases.ts";
import { OPS_WITH_ROWS, rowDifferences } from "./rows-alone.ts";

/** Those that pass what any kernel takes at once are among the cancelling ones. */
const MOST_ROWS = 9;
const isSmall = ({ symbols: { m, t, s } }: OpCase) => s !== undefined || (m ?? t ?? 0) <= MOST_ROWS;

async function open(activations: "bf16" | "f32", batchInvariant: boolean) {
  const backend = createCudaBackend({ addonPath: EMULATOR_PATH, activations });
  await backend.probe();
  return backend.open({ batchInvariant });
}

for (const activations of ["bf16", "f32"] as const) {
  for (const op of OPS_WITH_ROWS) {
    test(`${op}, ${activations} activations`, async () => {
      const engine = await open(activations, true);
      const differences = await rowDifferences(engine, OP_CASES[op]().filter(isSmall), activations);
      engine.dispose();
      assert.is(differences.length, 0, differences.slice(0, 5).join("\n"));
    });
  }

  for (const [what, items] of Object.entries({
    products: cancellingProducts(),
    attention: activations === "f32" ? [] : cancellingAttention(),
  })) {
    test(`${what} of which nothing is left but how they were summed, ${activations} activations`, async () => {
      const engine = await open(activations, true);
      const differences = await rowDifferences(engine, items, activations);
      engine.dispose();
      assert.is(differences.length, 0, differences.join("\n"));
      // The usual kernels sum otherwise where rows are few and where they are many.
      const usual = await open(activations, false);
      assert.is((await rowDifferences(usual, items, activations)).length > 0, items.length > 0);
      usual.dispose();
    });
  }
}

test.run();
