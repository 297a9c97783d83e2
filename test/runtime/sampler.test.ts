import { test } from "uvu";
import * as assert from "uvu/assert";
import { argmax, Sampler, type SamplingOptions, topLogits } from "../../src/runtime/sampler.ts";

const plain: SamplingOptions = { temperature: 1, topK: 0, topP: 1, minP: 0, repetitionPenalty: 1, seed: 7 };

/** Probabilities 0.5, 0.25, 0.125, 0.125 in a shuffled order. */
const logits = () => Float32Array.from([0.125, 0.5, 0.125, 0.25], Math.log);

function draws(options: Partial<SamplingOptions>, count = 4000): number[] {
  const sampler = new Sampler({ ...plain, ...options });
  const counts = [0, 0, 0, 0];
  for (let draw = 0; draw < count; draw++) counts[sampler.sample(logits(), [])]!++;
  return counts.map((value) => value / count);
}

function near(found: number[], expected: number[]): void {
  found.forEach((value, index) => {
    assert.ok(Math.abs(value - expected[index]!) < 0.03, `${found} is not near ${expected}`);
  });
}

test("temperature 0 takes the largest, the lower token on ties", () => {
  assert.is(new Sampler({ ...plain, temperature: 0 }).sample(logits(), []), 1);
  assert.is(argmax(Float32Array.of(1, 3, 3, 2)), 1);
});

test("draws follow the probabilities, sharpened by temperature", () => {
  near(draws({}), [0.125, 0.5, 0.125, 0.25]);
  // At temperature 0.5 probabilities are squared: 1/4, 1/16, 1/64, 1/64 over 22/64.
  near(draws({ temperature: 0.5 }), [1 / 22, 16 / 22, 1 / 22, 4 / 22]);
});

test("top-k, top-p and min-p cut the tail", () => {
  near(draws({ topK: 2 }), [0, 2 / 3, 0, 1 / 3]);
  near(draws({ topP: 0.6 }), [0, 2 / 3, 0, 1 / 3]);
  near(draws({ topP: 0.5 }), [0, 1, 0, 0]);
  near(draws({ minP: 0.3 }), [0, 2 / 3, 0, 1 / 3]);
  near(draws({ topK: 1, temperature: 5 }), [0, 1, 0, 0]);
});

test("the same seed draws the same, another one does not", () => {
  const sequence = (seed: number) => {
    const sampler = new Sampler({ ...plain, seed });
    return Array.from({ length: 40 }, () => sampler.sample(logits(), []));
  };
  assert.equal(sequence(3), sequence(3));
  assert.not.equal(sequence(3), sequence(4));
});

test("a repetition penalty divides positive and multiplies negative logits, once a token", () => {
  const sampler = new Sampler({ ...plain, temperature: 0, repetitionPenalty: 2 });
  const values = Float32Array.of(4, 3, -1, -0.75);
  assert.is(sampler.sample(values, [0, 0, 3]), 1);
  assert.equal([...values], [2, 3, -1, -1.5]);
});

test("topLogits are ordered, ties by token", () => {
  assert.equal(topLogits(Float32Array.of(1, 5, 5, 2), 3), [
    [1, 5],
    [2, 5],
    [3, 2],
  ]);
});

test("impossible options are refused by name", () => {
  const cases: Partial<SamplingOptions>[] = [
    { temperature: -1 },
    { temperature: Number.NaN },
    { topK: 1.5 },
    { topP: 0 },
    { topP: 1.1 },
    { minP: -0.1 },
    { repetitionPenalty: 0 },
    { seed: -1 },
  ];
  for (const wrong of cases) {
    const [name] = Object.keys(wrong);
    assert.throws(
      () => new Sampler({ ...plain, ...wrong }),
      (error: { code: string; message: string }) => {
        return error.code === "OPTION_INVALID" && error.message.startsWith(`${name} is`);
      },
    );
  }
});

test.run();
