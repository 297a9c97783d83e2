/** A conformance case with some of its rows, or one of its sequences, alone. */
import { type OpCase, type Operand, operandValues } from "../../src/conformance/case.ts";
import { fixed } from "../../src/conformance/operands.ts";
import type { OpDefinition } from "../../src/graph/op-definition.ts";
import { OPS, type OpName } from "../../src/graph/ops.ts";
import { evaluateDim } from "../../src/tensor/dims.ts";

export const definitionOf = (op: OpName): OpDefinition => OPS[op];
export const numRows = ({ symbols }: OpCase, { shape }: Operand) => evaluateDim(shape[0] ?? 0, symbols);

export function chosen(values: ArrayLike<number>, count: number, rows: readonly number[]): number[] {
  const columns = count === 0 ? 0 : values.length / count;
  return rows.flatMap((row) =>
    Array.from({ length: columns }, (_, col) => values[row * columns + col] as number),
  );
}

/** The case with some rows of what it reads by row. */
export function choose(item: OpCase, rowwise: readonly string[], rows: readonly number[]): OpCase {
  const operands = Object.entries(item.operands).map(([name, operand]) => {
    const values = operandValues(item, name);
    if (!rowwise.includes(name)) return [name, { ...operand, fill: () => values }] as const;
    const { padding, shape } = operand;
    const some = fixed([rows.length, ...shape.slice(1)], chosen(values, numRows(item, operand), rows));
    return [name, padding ? { ...some, padding } : some] as const;
  });
  return { ...item, fields: { ...item.fields, chosen: rows.join() }, operands: Object.fromEntries(operands) };
}

/** Rows of a case's result, and the case that has to give the same ones with nothing beside them. */
export interface Alone {
  readonly rows: readonly number[];
  readonly alone: OpCase;
}

const range = (first: number, end: number) =>
  Array.from({ length: end - first }, (_, index) => first + index);

/** A run of rows that attend to each other, without the other runs. */
function runsAlone(item: OpCase): Alone[] {
  const bounds = operandValues(item, "cuSeqlens");
  return range(0, bounds.length - 1).map((run) => {
    const rows = range(bounds[run] as number, bounds[run + 1] as number);
    const some = choose(item, ["q", "k", "v"], rows);
    const operands = { ...some.operands, cuSeqlens: fixed([2], [0, rows.length]) };
    return { rows, alone: { ...some, operands } };
  });
}

/** A query as the only one of its sequence, which ends with it: a decode step instead of a row of a chunk. */
function queriesAlone(item: OpCase): Alone[] {
  const bounds = operandValues(item, "cuSeqlens");
  return range(0, bounds.length - 1).flatMap((sequence) => {
    const [first, end] = [bounds[sequence] as number, bounds[sequence + 1] as number];
    const table = choose(item, ["blockTable"], [sequence]).operands.blockTable as Operand;
    // The first and the last say enough.
    return [...new Set([first, end - 1])]
      .filter((row) => row >= first && row < end)
      .map((row) => {
        const context = (operandValues(item, "contextLens")[sequence] as number) - (end - 1 - row);
        const some = choose(item, ["q"], [row]);
        const operands = {
          ...some.operands,
          blockTable: table,
          cuSeqlens: fixed([2], [0, 1]),
          contextLens: fixed([1], [context]),
        };
        return { rows: [row], alone: { ...some, operands } };
      });
  });
}

/** A row of logits, or its adjusted row, with its own settings. */
function choicesAlone(item: OpCase): Alone[] {
  const places = operandValues(item, "adjustedAs");
  return range(0, places.length).map((row) => {
    const some = choose(item, ["logits", "settings", "choices"], [row]);
    const place = places[row] as number;
    const adjusted = choose(item, ["adjusted"], place < 0 ? [] : [place]).operands.adjusted as Operand;
    const operands = { ...some.operands, adjusted, adjustedAs: fixed([1], [place < 0 ? -1 : 0]) };
    return { rows: [row], alone: { ...some, operands } };
  });
}

/** An adjusted row with its own changes. */
function adjustmentsAlone(item: OpCase): Alone[] {
  const [ids, bounds] = [operandValues(item, "ids"), operandValues(item, "cuIds")];
  return range(0, bounds.length - 1).map((row) => {
    const [first, end] = [bounds[row] as number, bounds[row + 1] as number];
    const some = choose(item, ["rows", "maskOf"], [row]);
    const own = range(first, end);
    const operands = {
      ...some.operands,
      ids: fixed([own.length], chosen(ids, ids.length, own)),
      changes: choose(item, ["changes"], own).operands.changes as Operand,
      cuIds: fixed([2], [0, own.length]),
    };
    return { rows: [row], alone: { ...some, operands } };
  });
}

const SPECIAL: { readonly [K in OpName]?: (item: OpCase) => Alone[] } = {
  attention_varlen: runsAlone,
  attention_paged: queriesAlone,
  sample: choicesAlone,
  adjust_logits: adjustmentsAlone,
};

/** First and last row of the case, or what takes their place; none where a row is not computed by itself. */
export function partsAlone(item: OpCase): Alone[] {
  const special = SPECIAL[item.op];
  if (special) return special(item);
  const { rowwise } = definitionOf(item.op);
  if (!rowwise) return [];
  const count = numRows(item, item.operands[rowwise[0] as string] as Operand);
  const rows = [...new Set([0, count - 1])].filter((row) => row >= 0 && row < count);
  return rows.map((row) => ({ rows: [row], alone: choose(item, rowwise, [row]) }));
}
