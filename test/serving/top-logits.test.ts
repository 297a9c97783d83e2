import { test } from "uvu";
import * as assert from "uvu/assert";
import { topLogits } from "../../src/serving/top-logits.ts";
import { fc } from "../property.ts";

function sorted(logits: Float32Array, count: number): [number, number][] {
  const order = [...logits.keys()];
  order.sort((a, b) => logits[b]! - logits[a]! || a - b);
  return order.slice(0, count).map((token) => [token, logits[token]!]);
}

test("they are ordered, ties by token", () => {
  assert.equal(topLogits(Float32Array.of(1, 5, 5, 2), 3), [
    [1, 5],
    [2, 5],
    [3, 2],
  ]);
});

test("they are what sorting all logits gives, ties by lower token", () => {
  const logit = fc.oneof(
    fc.constantFrom(0, -0, 1, -1, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY),
    fc.float({ noNaN: true }),
  );
  fc.assert(
    fc.property(fc.array(logit, { maxLength: 60 }), fc.nat(12), (values, count) => {
      const logits = Float32Array.from(values);
      assert.equal(topLogits(logits, count), sorted(logits, count));
    }),
  );
});

test("NaN is not among them", () => {
  const logits = Float32Array.of(Number.NaN, 1, Number.NaN, Number.NEGATIVE_INFINITY, 2);
  assert.equal(topLogits(logits, 10), [
    [4, 2],
    [1, 1],
    [3, Number.NEGATIVE_INFINITY],
  ]);
  assert.equal(topLogits(logits, 1), [[4, 2]]);
});

test.run();
