/** What the op table says of rows: chosen rows of the operands give the chosen rows of the results, to the bit. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { referenceBackend } from "../../src/backends/reference/backend.ts";
import { caseName, type OpCase, type Operand, operandValues } from "../../src/conformance/case.ts";
import { OP_CASES } from "../../src/conformance/cases.ts";
import { runCase } from "../../src/conformance/harness.ts";
import { fixed } from "../../src/conformance/operands.ts";
import type { OpDefinition } from "../../src/graph/op-definition.ts";
import { OP_NAMES, OPS, type OpName } from "../../src/graph/ops.ts";
import { evaluateDim } from "../../src/tensor/dims.ts";

const definitionOf = (op: OpName): OpDefinition => OPS[op];
const numRows = ({ symbols }: OpCase, { shape }: Operand) => evaluateDim(shape[0] ?? 0, symbols);

function chosen<T extends ArrayLike<number>>(values: T, count: number, rows: readonly number[]): number[] {
  const columns = count === 0 ? 0 : values.length / count;
  return rows.flatMap((row) =>
    Array.from({ length: columns }, (_, col) => values[row * columns + col] as number),
  );
}

/** The case with some rows of what it reads by row. */
function choose(item: OpCase, rowwise: readonly string[], rows: readonly number[]): OpCase {
  const operands = Object.entries(item.operands).map(([name, operand]) => {
    const values = operandValues(item, name);
    if (!rowwise.includes(name)) return [name, { ...operand, fill: () => values }] as const;
    const { padding, shape } = operand;
    const some = fixed([rows.length, ...shape.slice(1)], chosen(values, numRows(item, operand), rows));
    return [name, padding ? { ...some, padding } : some] as const;
  });
  return { ...item, fields: { ...item.fields, chosen: rows.join() }, operands: Object.fromEntries(operands) };
}

for (const op of OP_NAMES) {
  const { rowwise } = definitionOf(op);
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
      for (const [name, values] of Object.entries(whole.outputs)) {
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
  for (const op of OP_NAMES) {
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
