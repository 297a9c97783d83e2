/** Two weights are one where every byte is read and the same. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { WeightRows } from "../../src/backends/backend.ts";
import { comparedRows, mayShare } from "../../src/runtime/weight-copies.ts";

const ROWS = 40;
const COLS = 3;

function weight(values: Uint8Array, dtype: WeightRows["dtype"] = "bf16") {
  const spec = { name: "w", shape: [ROWS, COLS], dtype, sources: [] };
  let reads = 0;
  const rows: WeightRows = {
    spec,
    dtype,
    rows: ROWS,
    cols: COLS,
    readRows: async (first, count, into) => {
      reads += count;
      into.set(values.subarray(first * 2 * COLS, (first + count) * 2 * COLS));
    },
  };
  return { rows, reads: () => reads };
}

const bytes = Uint8Array.from({ length: ROWS * COLS * 2 }, (_, index) => index);

async function compare(other: Uint8Array, pieces: readonly (readonly [number, number])[], offset = 0) {
  const [one, two] = [weight(bytes), weight(other)];
  const { rows, areSame } = comparedRows(one.rows, two.rows);
  const memory = new Uint8Array(bytes.length + 2).subarray(offset, offset + bytes.length);
  for (const [first, count] of pieces) {
    await rows.readRows(first, count, memory.subarray(first * 2 * COLS, (first + count) * 2 * COLS));
  }
  const given = pieces.flatMap(([first, count]) => [
    ...memory.subarray(first * 2 * COLS, (first + count) * 2 * COLS),
  ]);
  const asked = pieces.flatMap(([first, count]) => [
    ...bytes.subarray(first * 2 * COLS, (first + count) * 2 * COLS),
  ]);
  assert.equal(given, asked);
  return { same: areSame(), reads: two.reads() };
}

const WHOLE = [[0, ROWS]] as const;
const PARTS = [
  [0, 7],
  [7, 30],
  [37, 3],
] as const;

test("in pieces and whole, wherever they lie", async () => {
  for (const pieces of [WHOLE, PARTS]) {
    for (const offset of [0, 2])
      assert.equal(await compare(bytes, pieces, offset), { same: true, reads: ROWS });
  }
});

test("a bit anywhere makes it another, and what follows is not read for it", async () => {
  for (let at = 0; at < bytes.length; at++) {
    const other = bytes.slice();
    other[at] = (other[at] as number) ^ 128;
    for (const offset of [0, 2]) assert.is((await compare(other, PARTS, offset)).same, false);
  }
  const other = bytes.slice();
  other[0] = 1;
  assert.equal(await compare(other, PARTS), { same: false, reads: 7 });
});

test("what was not read in order, or not all, is not known to be the same", async () => {
  assert.is((await compare(bytes, PARTS.slice(0, 2))).same, false);
  assert.is((await compare(bytes, [...PARTS].reverse())).same, false);
  assert.is((await compare(bytes, [...PARTS, [0, 7]])).same, false);
});

test("only of one format and size", () => {
  assert.ok(mayShare(weight(bytes).rows, weight(bytes).rows));
  assert.not(mayShare(weight(bytes).rows, weight(bytes, "f16").rows));
  assert.not(mayShare(weight(bytes).rows, { ...weight(bytes).rows, rows: ROWS - 1 }));
});

test.run();
