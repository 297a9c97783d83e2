/** A row's result does not depend on the rows beside it: batching, prefix caches and speculation rest on that. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Backend } from "../../src/backends/backend.ts";
import { referenceBackend } from "../../src/backends/reference/backend.ts";
import { wasmBackend } from "../../src/backends/wasm/backend.ts";
import { caseName, type OpCase } from "../../src/conformance/case.ts";
import { OP_CASES } from "../../src/conformance/cases.ts";
import { type CaseRun, runCase } from "../../src/conformance/harness.ts";
import { LOCAL_OPS, type LocalOp } from "../../src/graph/ops.ts";
import { isBlockFormat } from "../../src/tensor/storage.ts";
import { chosen, definitionOf, partsAlone } from "./chosen-rows.ts";

/** Moves rows or writes to a state, so that no row of its result is computed. */
const NO_ROWS: readonly LocalOp[] = ["merge_rows", "kv_write", "scatter_rows"];
/** Writes what it reads; the ops that it is made of are here. */
const COMPOSED: readonly LocalOp[] = ["rope_attention_paged"];

/** How the reference sums does not depend on how weights are stored, but for blocks; WebAssembly has no fp8. */
const isWanted = (backend: Backend, { weight }: OpCase) =>
  backend.name === "reference" ? weight === "f32" || isBlockFormat(weight) : weight !== "fp8";

/** Enough rows for every way that a kernel has, few enough for the reference; attention has more beside it. */
const MOST_ROWS = 9;
const MOST_QUERIES = 40;

for (const backend of [referenceBackend, wasmBackend]) {
  for (const op of LOCAL_OPS.filter((name) => ![...NO_ROWS, ...COMPOSED].includes(name))) {
    test(`${backend.name} ${op}: a row does not depend on those beside it`, async () => {
      const differences = await differencesOf(backend, op);
      assert.is(differences.length, 0, differences.slice(0, 5).join("\n"));
    });
  }
}

test("every op has rows that can be alone, or is known to have none", () => {
  const without = LOCAL_OPS.filter((op) => OP_CASES[op]().every((item) => partsAlone(item).length === 0));
  assert.equal(without.sort(), [...NO_ROWS, ...COMPOSED].sort());
});

async function differencesOf(backend: Backend, op: LocalOp): Promise<string[]> {
  const engine = await backend.open();
  const differences: string[] = [];
  for (const item of OP_CASES[op]().filter((candidate) => isWanted(backend, candidate))) {
    const { m, t, s } = item.symbols;
    if ((m ?? t ?? 0) > (s === undefined ? MOST_ROWS : MOST_QUERIES)) continue;
    const parts = partsAlone(item);
    if (parts.length === 0) continue;
    const all = await runCase(engine, item, "f32");
    for (const { rows, alone } of parts) {
      const name = differing(item, all, rows, await runCase(engine, alone, "f32"));
      if (name !== undefined) differences.push(`${caseName(item)}: ${name}, rows ${rows.join()}`);
    }
  }
  engine.dispose();
  return differences;
}

/** The output whose `rows` are other ones alone, if there is one. */
function differing(item: OpCase, all: CaseRun, rows: readonly number[], alone: CaseRun): string | undefined {
  return Object.keys(definitionOf(item.op).outputs).find((name) => {
    const [values, found] = [all.outputs[name], alone.outputs[name]];
    if (!values || !found) throw new Error(`${caseName(item)} has no output ${name}.`);
    const { m, t, r } = item.symbols;
    const expected = chosen(values, r ?? m ?? t ?? 0, rows);
    return (
      expected.length !== found.length || expected.some((value, index) => !Object.is(value, found[index]))
    );
  });
}

test.run();
