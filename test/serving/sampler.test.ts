import { test } from "uvu";
import * as assert from "uvu/assert";
import { wasmBackend } from "../../src/backends/wasm/backend.ts";
import { compileGraph } from "../../src/compiler/compile.ts";
import { createGraphBuilder } from "../../src/graph/builder.ts";
import { type SamplingRow, samplingInputs } from "../../src/runtime/sampling-rows.ts";
import { Sampler, type SamplingOptions } from "../../src/serving/sampler.ts";
import { offsetDim } from "../../src/tensor/dims.ts";

const plain: SamplingOptions = { temperature: 1, topK: 0, topP: 1, minP: 0, repetitionPenalty: 1, seed: 7 };

/** Probabilities 0.5, 0.25, 0.125, 0.125 in a shuffled order. */
const logits = Float32Array.from([0.125, 0.5, 0.125, 0.25], Math.log);

const GRAPH = (() => {
  const g = createGraphBuilder({ name: "sample", activationDType: "f32", weightDType: () => "f32" });
  const m = g.symbol("m");
  const inputs = {
    logits: g.input("logits", [m, 4], "f32"),
    settings: g.input("samplingSettings", [m, 4], "f32"),
    choices: g.input("samplingChoices", [m, 2], "i32"),
    penalised: g.input("penalised", [g.symbol("penalised")], "i32"),
    cuPenalised: g.input("cuPenalised", [offsetDim(m, 1)], "i32"),
  };
  return g.finish({ tokens: g.sample(inputs) });
})();

const engine = await wasmBackend.open();
const executable = engine.load(compileGraph(GRAPH), new Map());

/** The token that each row chooses from `values`. */
async function choose(values: Float32Array, rows: readonly SamplingRow[]): Promise<number[]> {
  const tokens = engine.allocate("i32", rows.length, 1);
  const inputs = samplingInputs(rows);
  const repeated = Float32Array.from({ length: rows.length * 4 }, (_, index) => values[index % 4] as number);
  await engine.run(executable, {
    symbols: { m: rows.length, penalised: inputs.penalised.length },
    buffers: { ...inputs, logits: repeated, tokens },
  });
  const chosen = Array.from(await engine.read(tokens));
  engine.free(tokens);
  return chosen;
}

async function draw(options: Partial<SamplingOptions>, count: number): Promise<number[]> {
  const sampler = new Sampler({ ...plain, ...options }, []);
  return choose(logits, sampler.rows(new Array<number>(count - 1).fill(0)));
}

async function shares(options: Partial<SamplingOptions>, count = 4000): Promise<number[]> {
  const counts = [0, 0, 0, 0];
  for (const token of await draw(options, count)) counts[token]!++;
  return counts.map((value) => value / count);
}

function near(found: number[], expected: number[]): void {
  found.forEach((value, index) => {
    assert.ok(Math.abs(value - expected[index]!) < 0.03, `${found} is not near ${expected}`);
  });
}

test("temperature 0 takes the largest, the lower token on ties", async () => {
  assert.equal(await draw({ temperature: 0 }, 1), [1]);
  const [greedy] = new Sampler({ ...plain, temperature: 0 }, []).rows() as [SamplingRow];
  assert.equal(await choose(Float32Array.of(1, 3, 3, 2), [greedy]), [1]);
});

test("draws follow the probabilities, sharpened by temperature", async () => {
  near(await shares({}), [0.125, 0.5, 0.125, 0.25]);
  // At temperature 0.5 probabilities are squared: 1/4, 1/16, 1/64, 1/64 over 22/64.
  near(await shares({ temperature: 0.5 }), [1 / 22, 16 / 22, 1 / 22, 4 / 22]);
});

test("many draws differ from the probabilities no more than chance lets them", async () => {
  // 99.9 % points of chi-square with one degree of freedom less than tokens that can be drawn.
  for (const [options, probabilities, limit] of [
    [{}, [0.125, 0.5, 0.125, 0.25], 16.27],
    [{ temperature: 2 }, [0.125, 0.5, 0.125, 0.25].map(Math.sqrt), 16.27],
    [{ topK: 2 }, [0, 0.5, 0, 0.25], 10.83],
    [{ topP: 0.8 }, [0.125, 0.5, 0, 0.25], 13.82],
    [{ minP: 0.5 }, [0, 0.5, 0, 0.25], 10.83],
  ] as const) {
    for (const seed of [1, 2, 3]) {
      const count = 40_000;
      const total = probabilities.reduce((sum, value) => sum + value, 0);
      const found = await shares({ ...options, seed }, count);
      const chiSquare = found.reduce((sum, share, token) => {
        const expected = probabilities[token]! / total;
        if (expected === 0) assert.is(share, 0);
        return expected === 0 ? sum : sum + (count * (share - expected) ** 2) / expected;
      }, 0);
      assert.ok(chiSquare < limit, `${JSON.stringify(options)}, seed ${seed}: ${chiSquare}`);
      assert.ok(chiSquare > 0);
    }
  }
});

test("top-k, top-p and min-p cut the tail", async () => {
  near(await shares({ topK: 2 }), [0, 2 / 3, 0, 1 / 3]);
  near(await shares({ topP: 0.6 }), [0, 2 / 3, 0, 1 / 3]);
  near(await shares({ topP: 0.5 }), [0, 1, 0, 0]);
  near(await shares({ minP: 0.3 }), [0, 2 / 3, 0, 1 / 3]);
  near(await shares({ topK: 1, temperature: 5 }), [0, 1, 0, 0]);
  // Of equals all are kept, as transformers does.
  near(await shares({ topK: 3 }), [0.125, 0.5, 0.125, 0.25]);
  // Past any vocabulary, and past what an i32 holds.
  near(await shares({ topK: 2 ** 40 }), [0.125, 0.5, 0.125, 0.25]);
});

test("the same seed draws the same, another one does not", async () => {
  assert.equal(await draw({ seed: 3 }, 40), await draw({ seed: 3 }, 40));
  assert.not.equal(await draw({ seed: 3 }, 40), await draw({ seed: 4 }, 40));
});

test("a repetition penalty divides positive and multiplies negative logits, once a token", async () => {
  const penalised = async (values: number[], history: number[]) => {
    const sampler = new Sampler({ ...plain, temperature: 0, repetitionPenalty: 2 }, history);
    const [token] = await choose(Float32Array.from(values), sampler.rows());
    sampler.accept(token as number);
    const [second] = await choose(Float32Array.from(values), sampler.rows());
    return [token, second];
  };
  // 2, 3, -1, -1.5; then 2, 1.5, -1, -1.5.
  assert.equal(await penalised([4, 3, -1, -0.75], [0, 0, 3]), [1, 0]);
  // -3, -4, -2, -2.5 with 2 penalised: -3, -4, -4, -2.5; then -3, -4, -4, -5.
  assert.equal(await penalised([-3, -4, -2, -2.5], [2]), [3, 0]);
});

test("rows of different answers lie one after another, the tokens of each padded once for all", () => {
  const one = new Sampler({ ...plain, repetitionPenalty: 1.5 }, [3, 1, 3]);
  one.accept(2);
  const rows = [
    ...one.rows(),
    ...new Sampler(plain, [1, 2]).rows(),
    ...new Sampler({ ...plain, repetitionPenalty: 2 }, [0, 1]).rows(),
  ];
  const { penalised, cuPenalised, samplingSettings } = samplingInputs(rows);
  assert.equal([...penalised], [3, 1, 2, 0, 1, -1, -1, -1]);
  assert.equal([...cuPenalised], [0, 3, 3, 5]);
  assert.equal([...samplingSettings], [1, 1, 0, 1.5, 1, 1, 0, 1, 1, 1, 0, 2]);
  assert.is(samplingInputs(new Sampler(plain, [1, 2]).rows()).penalised.length, 0);
});

test("nothing to choose from is an error", async () => {
  for (const broken of [Number.NaN, Number.POSITIVE_INFINITY]) {
    for (const temperature of [0, 1]) {
      const sampler = new Sampler({ ...plain, temperature }, []);
      const [token] = await choose(Float32Array.of(1, 2, broken, 0), sampler.rows());
      assert.throws(
        () => sampler.accept(token as number),
        (error: { code: string; message: string }) =>
          error.code === "TENSOR_INVALID" && /largest logit is not finite, or one is NaN/.test(error.message),
      );
    }
  }
});

test("impossible options are refused by name", () => {
  const cases: Partial<SamplingOptions>[] = [
    { temperature: -1 },
    { temperature: Number.NaN },
    // No float32 is as large, or as near to 0.
    { temperature: 1e39 },
    { topK: 1.5 },
    { topP: 0 },
    { topP: 1e-50 },
    { topP: 1.1 },
    { minP: -0.1 },
    { repetitionPenalty: 0 },
    { repetitionPenalty: 1e-50 },
    { seed: -1 },
  ];
  for (const wrong of cases) {
    const [name] = Object.keys(wrong);
    assert.throws(
      () => new Sampler({ ...plain, ...wrong }, []),
      (error: { code: string; message: string }) => {
        return error.code === "OPTION_INVALID" && error.message.startsWith(`${name} is`);
      },
    );
  }
});

test.after(() => engine.dispose());

test.run();
