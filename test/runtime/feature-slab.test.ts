/** The slab of vision features: ranges that stay where they are while it grows, and memory only while one is held. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Engine } from "../../src/backends/backend.ts";
import { referenceBackend } from "../../src/backends/reference/backend.ts";
import { type FeatureRange, FeatureSlab } from "../../src/runtime/feature-slab.ts";

const COLS = 2;
const ROW_BYTES = 4 * COLS;

async function fill(engine: Engine, range: FeatureRange, value: number): Promise<void> {
  const { tensor, firstRow, rows } = range.deviceRows();
  engine.write(tensor, firstRow, new Float32Array(rows * COLS).fill(value));
}

async function holds(engine: Engine, range: FeatureRange, value: number): Promise<void> {
  const { tensor, firstRow, rows } = range.deviceRows();
  const found = (await engine.read(tensor, firstRow, rows)) as Float32Array;
  assert.equal(found, new Float32Array(range.rows * COLS).fill(value));
}

test("ranges keep their rows and what is in them while others come and go", async () => {
  const engine = await referenceBackend.open();
  const slab = new FeatureSlab(engine, "f32", COLS);
  const first = slab.take(3);
  assert.equal([first.firstRow, slab.tensor.rows], [0, 3]);
  await fill(engine, first, 1);
  const second = slab.take(5);
  assert.equal([second.firstRow, slab.tensor.rows], [3, 8]);
  await fill(engine, second, 2);
  await holds(engine, first, 1);
  first.release();
  assert.is(slab.tensor.rows, 8, "the second range is still there");
  const large = slab.take(4);
  assert.is(large.firstRow, 8, "the gap is too small");
  const small = slab.take(2);
  assert.equal([small.firstRow, slab.tensor.rows], [0, 12], "the gap is used");
  await fill(engine, small, 3);
  await fill(engine, large, 4);
  const part = second.deviceRows(1, 2);
  assert.equal([part.tensor, part.firstRow, part.rows], [slab.tensor, 4, 2]);
  for (const [range, value] of [
    [small, 3],
    [second, 2],
    [large, 4],
  ] as const) {
    await holds(engine, range, value);
  }
  engine.dispose();
});

test("memory is held while a range is, and as much as ranges need", async () => {
  const engine = await referenceBackend.open();
  const slab = new FeatureSlab(engine, "f32", COLS);
  const { nothing } = slab;
  assert.equal([engine.liveBytes, slab.tensor], [0, nothing]);
  const ranges = [slab.take(10), slab.take(0), slab.take(7)];
  assert.is(engine.liveBytes, 17 * ROW_BYTES);
  for (const range of ranges) range.release();
  assert.equal([engine.liveBytes, slab.tensor], [0, nothing]);
  // Once more does no harm, also when the rows are another's by then.
  const next = slab.take(4);
  assert.is(engine.liveBytes, 4 * ROW_BYTES);
  ranges[0]?.release();
  assert.is(engine.liveBytes, 4 * ROW_BYTES);
  next.release();
  engine.dispose();
});

test("a range that does not fit is refused, and the others stay", async () => {
  const engine = await referenceBackend.open();
  let allowed = 2;
  const limited = Object.create(engine, {
    allocate: {
      value: (...args: Parameters<Engine["allocate"]>) => {
        if (allowed-- <= 0) throw new Error("full");
        return engine.allocate(...args);
      },
    },
    free: { value: engine.free.bind(engine) },
    copy: { value: engine.copy.bind(engine) },
  });
  const slab = new FeatureSlab(limited, "f32", COLS);
  const held = slab.take(2);
  await fill(engine, held, 1);
  assert.throws(() => slab.take(100), "full");
  await holds(engine, held, 1);
  allowed = 1;
  assert.is(slab.take(3).firstRow, 2);
  await holds(engine, held, 1);
  engine.dispose();
});

test.run();
