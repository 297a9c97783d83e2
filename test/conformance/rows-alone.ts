/** Rows of conformance cases with nothing beside them, whose bits have to be those that they have in the whole. */
import type { Engine } from "../../src/backends/backend.ts";
import { unsupported } from "../../src/backends/check-support.ts";
import { caseName, type OpCase } from "../../src/conformance/case.ts";
import type { ActivationDType } from "../../src/conformance/conformance.ts";
import { type CaseRun, caseProgram, runCase } from "../../src/conformance/harness.ts";
import { LOCAL_OPS, type LocalOp } from "../../src/graph/ops.ts";
import { chosen, definitionOf, partsAlone } from "./chosen-rows.ts";

/** Moves rows or writes to a state, so that no row of its result is computed. */
export const NO_ROWS: readonly LocalOp[] = ["merge_rows", "kv_write", "scatter_rows"];
/** Writes what it reads; the ops that it is made of are here. */
export const COMPOSED: readonly LocalOp[] = ["rope_attention_paged"];
export const OPS_WITH_ROWS = LOCAL_OPS.filter((name) => ![...NO_ROWS, ...COMPOSED].includes(name));

/** @returns of the cases that the engine can run, a line for each whose rows are others alone */
export async function rowDifferences(
  engine: Engine,
  items: readonly OpCase[],
  activation: ActivationDType,
): Promise<string[]> {
  const differences: string[] = [];
  for (const item of items) {
    if (unsupported(caseProgram(engine.backend, item, activation), engine.backend)) continue;
    const parts = partsAlone(item);
    if (parts.length === 0) continue;
    const all = await runCase(engine, item, activation);
    for (const { rows, alone } of parts) {
      const name = differing(item, all, rows, await runCase(engine, alone, activation));
      if (name !== undefined) differences.push(`${caseName(item)}: ${name}, rows ${rows.join()}`);
    }
  }
  return differences;
}

/** The output whose `rows` are other ones alone, if there is one. */
function differing(item: OpCase, all: CaseRun, rows: readonly number[], alone: CaseRun): string | undefined {
  return Object.keys(definitionOf(item.op).outputs).find((name) => {
    const [values, found] = [all.outputs[name], alone.outputs[name]];
    if (!values || !found) throw new Error(`${caseName(item)} has no output ${name}.`);
    const { m, t, r, d } = item.symbols;
    const expected = chosen(values, d ?? r ?? m ?? t ?? 0, rows);
    return (
      expected.length !== found.length || expected.some((value, index) => !Object.is(value, found[index]))
    );
  });
}
