/** The reference has a kernel of every op that is no composition, and the type checker says so of a new one. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { KernelTable } from "../../src/backends/reference/kernel.ts";
import { KERNELS } from "../../src/backends/reference/kernels.ts";
import { LOCAL_OPS, OPS } from "../../src/graph/ops.ts";

test("every op that is neither a view nor a composition has a kernel", () => {
  const lacking = LOCAL_OPS.filter(
    (op) => OPS[op].view === undefined && OPS[op].composition === undefined && !(op in KERNELS),
  );
  assert.equal(lacking, []);
});

test("a table without one of them does not pass the type checker, one without a fused op does", () => {
  const { gelu: _, ...withoutGelu } = KERNELS;
  // @ts-expect-error gelu is missing
  const lacking: KernelTable = withoutGelu;
  const { linear_bias: __, ...withoutFused } = KERNELS;
  const complete: KernelTable = withoutFused;
  assert.not("gelu" in lacking);
  assert.not("linear_bias" in complete);
});

test.run();
