/** The random weights of the whole-model benchmark. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { blockWeights } from "../../bench/model/block-weights.ts";
import type { WeightSpec } from "../../src/graph/weight-spec.ts";

test("block weights: the same rows however they are read, of the asked spread, different by name", async () => {
  const rows = blockWeights();
  const spec = (name: string, shape: number[]): WeightSpec => ({ name, shape, dtype: "f32", sources: [] });
  const read = async (name: string, pieces: readonly number[]) => {
    const source = rows(spec(name, [3000, 400]));
    const all = new Uint8Array(3000 * 400 * 4);
    let first = 0;
    for (const count of pieces) {
      await source.readRows(first, count, all.subarray(first * 1600, (first + count) * 1600));
      first += count;
    }
    return new Float32Array(all.buffer);
  };
  const whole = await read("a", [3000]);
  assert.equal(await read("a", [1, 999, 2000]), whole);
  assert.not.equal(await read("b", [3000]), whole);
  const squares = whole.reduce((sum, value) => sum + value * value, 0);
  assert.ok(Math.abs((squares / whole.length) * 400 - 1) < 0.02);
});

test.run();
