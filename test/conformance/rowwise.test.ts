/** What the op table says of rows: chosen rows of the operands give the chosen rows of the results, to the bit. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { referenceBackend } from "../../src/backends/reference/backend.ts";
import { caseName, type OpCase, type Operand } from "../../src/conformance/case.ts";
import { OP_CASES } from "../../src/conformance/cases.ts";
import { runCase } from "../../src/conformance/harness.ts";
import { LOCAL_OPS, type OpName } from "../../src/graph/ops.ts";
import { choose, chosen, definitionOf, numRows } from "./chosen-rows.ts";

for (const op of LOCAL_OPS) {
  const { rowwise, outputs } = definitionOf(op);
  if (!rowwise) continue;
  test(`${op} computes each row by itself`, async () => {
    const engine = await referenceBackend.open();
    const total = ({ operands }: OpCase) => operands[rowwise[0] as string] as Operand;
    const items = OP_CASES[op]().filter((item) => [3, 9].includes(numRows(item, total(item))));
    assert.ok(items.length > 0);
    for (const item of items) {
      const count = numRows(item, total(item));
      const rows = [count - 1, 0, count - 1];
      const whole = await runCase(engine, item, "f32");
      const some = await runCase(engine, choose(item, rowwise, rows), "f32");
      // A state that is read is among what a run gives.
      for (const [name, values] of Object.entries(whole.outputs).filter(([name]) => name in outputs)) {
        assert.equal(
          [...(some.outputs[name] ?? [])],
          chosen(values, count, rows),
          `${caseName(item)}: ${name}`,
        );
      }
    }
    engine.dispose();
  });

  test(`${op} gives as many rows as it reads`, () => {
    const { inputs, outputs } = definitionOf(op);
    const patterns = [...rowwise.map((name) => inputs[name]), ...Object.values(outputs)];
    assert.is(new Set(patterns.map((spec) => spec?.shape.split(" ")[0])).size, 1);
  });
}

test("a fused op reads by row what all its steps do", () => {
  for (const op of LOCAL_OPS) {
    const { composition, rowwise = [], inputs } = definitionOf(op);
    if (!composition) continue;
    const steps = composition.map(({ op: step, names = {} }) => {
      const { rowwise: read = [] } = definitionOf(step as OpName);
      return read.map((name) => names[name] ?? name);
    });
    const all = steps.every((read) => read.length > 0) ? [...new Set(steps.flat())] : [];
    assert.equal(all.filter((name) => name in inputs).sort(), [...rowwise].sort(), op);
  }
});

test.run();
