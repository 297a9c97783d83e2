import { test } from "uvu";
import * as assert from "uvu/assert";
import { wasmBackend } from "../../src/backends/wasm/backend.ts";
import { compileGraph } from "../../src/compiler/compile.ts";
import { createGraphBuilder } from "../../src/graph/builder.ts";
import { maskWords } from "../../src/models/decoder.ts";
import { type SamplingRow, samplingInputs, samplingSymbols } from "../../src/runtime/sampling-rows.ts";
import { Sampler, type TokenRules } from "../../src/serving/sampler.ts";
import type { SamplingOptions } from "../../src/serving/sampling-options.ts";
import { ThinkingTokens } from "../../src/serving/thinking.ts";
import { ThinkingBudget } from "../../src/serving/thinking-budget.ts";
import { offsetDim } from "../../src/tensor/dims.ts";

const plain: SamplingOptions = {
  temperature: 1,
  topK: 0,
  topP: 1,
  minP: 0,
  repetitionPenalty: 1,
  presencePenalty: 0,
  frequencyPenalty: 0,
  logitBias: new Map(),
  seed: 7,
};
const V = 4;

/** Probabilities 0.5, 0.25, 0.125, 0.125 in a shuffled order. */
const logits = Float32Array.from([0.125, 0.5, 0.125, 0.25], Math.log);

const GRAPH = (() => {
  const g = createGraphBuilder({ name: "sample", activationDType: "f32", weightDType: () => "f32" });
  const [m, a, p] = [g.symbol("logits"), g.symbol("adjusted"), g.symbol("changes")];
  const rows = g.input("rows", [m, V], "f32");
  const adjusted = g.adjust_logits({
    logits: rows,
    rows: g.input("adjustedRows", [a], "i32"),
    ids: g.input("adjustedIds", [p], "i32"),
    changes: g.input("logitChanges", [p, 2], "f32"),
    cuIds: g.input("cuAdjustedIds", [offsetDim(a, 1)], "i32"),
    masks: g.input("tokenMasks", [g.symbol("masks"), maskWords(V)], "i32"),
    maskOf: g.input("tokenMaskOf", [a], "i32"),
  });
  const sampling = {
    settings: g.input("samplingSettings", [m, 3], "f32"),
    choices: g.input("samplingChoices", [m, 2], "i32"),
    adjustedAs: g.input("adjustedAs", [m], "i32"),
  };
  return g.finish({ tokens: g.sample({ logits: rows, adjusted, ...sampling }) });
})();

const engine = await wasmBackend.open();
const executable = engine.load(compileGraph(GRAPH), new Map());

/** The token that each row chooses from `values`. */
async function choose(values: Float32Array, rows: readonly SamplingRow[]): Promise<number[]> {
  const tokens = engine.allocate("i32", rows.length, 1);
  const inputs = samplingInputs(rows, V);
  const repeated = Float32Array.from({ length: rows.length * V }, (_, index) => values[index % V] as number);
  await engine.run(executable, {
    symbols: samplingSymbols(inputs, V),
    buffers: { ...inputs, rows: repeated, tokens },
  });
  const chosen = Array.from(await engine.read(tokens));
  engine.free(tokens);
  return chosen;
}

function samplerOf(
  options: Partial<SamplingOptions> = {},
  history: readonly number[] = [],
  rules: Partial<TokenRules> = {},
): Sampler {
  return new Sampler({ ...plain, ...options }, history, { vocabSize: V, ...rules });
}

/** As many draws, one after another. */
async function draw(options: Partial<SamplingOptions>, count: number): Promise<number[]> {
  return choose(logits, samplerOf(options).rows(new Array<number>(count - 1).fill(0)));
}

/** The answer of `count` tokens, each chosen from the same `values`. */
async function answer(sampler: Sampler, values: readonly number[], count: number): Promise<number[]> {
  const tokens: number[] = [];
  while (tokens.length < count) {
    const [token] = await choose(Float32Array.from(values), sampler.rows());
    sampler.accept(token as number);
    tokens.push(token as number);
  }
  return tokens;
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
  assert.equal(await answer(samplerOf({ temperature: 0 }), [1, 3, 3, 2], 1), [1]);
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

const GREEDY = { temperature: 0 };

test("a repetition penalty divides positive and multiplies negative logits, once a token", async () => {
  const penalised = (values: number[], history: number[]) =>
    answer(samplerOf({ ...GREEDY, repetitionPenalty: 2 }, history), values, 2);
  // 2, 3, -1, -1.5; then 2, 1.5, -1, -1.5.
  assert.equal(await penalised([4, 3, -1, -0.75], [0, 0, 3]), [1, 0]);
  // -3, -4, -2, -2.5 with 2 penalised: -3, -4, -4, -2.5; then -3, -4, -4, -5.
  assert.equal(await penalised([-3, -4, -2, -2.5], [2]), [3, 0]);
});

test("presence and frequency penalties count the answer's tokens, not the prompt's", async () => {
  const history = [0, 0, 0, 0];
  // 3, 2.8, 0, 0; 2.5, 2.8, ..; 2.5, 2.3, ..: once for all times.
  const presence = samplerOf({ ...GREEDY, presencePenalty: 0.5 }, history);
  assert.equal(await answer(presence, [3, 2.8, 0, 0], 5), [0, 1, 0, 0, 0]);
  // 3, 2.8; 2.5, 2.8; 2.5, 2.3; 2, 2.3; 2, 1.8: for each time.
  const frequency = samplerOf({ ...GREEDY, frequencyPenalty: 0.5 }, history);
  assert.equal(await answer(frequency, [3, 2.8, 0, 0], 5), [0, 1, 0, 1, 0]);
  // A bonus repeats.
  assert.equal(await answer(samplerOf({ ...GREEDY, presencePenalty: -2 }), [3, 3.5, 3, 3], 3), [1, 1, 1]);
});

test("a bias moves a token, or bans it, beside penalties", async () => {
  const bias = (entries: [number, number][], more: Partial<SamplingOptions> = {}) =>
    samplerOf({ ...GREEDY, ...more, logitBias: new Map(entries) });
  assert.equal(await answer(bias([[2, 3]]), [1, 2, 0, 0], 1), [2]);
  assert.equal(await answer(bias([[1, Number.NEGATIVE_INFINITY]]), [1, 2, 0, 0], 2), [0, 0]);
  // 1, 2, 2.5, 0; then 1, 2, 1.5, 0.
  assert.equal(await answer(bias([[2, 2.5]], { presencePenalty: 1 }), [1, 2, 0, 0], 2), [2, 1]);
});

test("bad words are banned where they would end, allowed tokens alone are left", async () => {
  const badWords = [[1], [0, 0, 0], [3, 2]];
  const rules = { badWords };
  assert.equal(await answer(samplerOf(GREEDY, [], rules), [3, 4, 0, 2], 5), [0, 0, 3, 0, 0]);
  assert.equal(await answer(samplerOf(GREEDY, [0, 0], rules), [3, 4, 0, 2], 2), [0, 0]);
  assert.equal(await answer(samplerOf(GREEDY, [], { allowed: [2, 3] }), [3, 4, 0, 2], 2), [3, 3]);
  assert.equal(
    await answer(samplerOf(GREEDY, [], { allowed: [2, 3], badWords: [[3]] }), [3, 4, 0, 2], 1),
    [2],
  );
});

test("an answer does not end before its least tokens", async () => {
  const rules = { minTokens: 2, endIds: [1, 3] };
  assert.equal(await answer(samplerOf(GREEDY, [], rules), [0, 4, 1, 3], 4), [2, 2, 1, 1]);
});

/** 0 opens thinking, 1 closes it. */
const THINKING = new ThinkingTokens({ idOf: (token) => ["<think>", "</think>"].indexOf(token) });

test("thinking ends behind its budget, whatever is banned, and begins at the prompt's end or in the answer", async () => {
  const values = [0, -5, 3, 2];
  const thinks = (limit: number, prompt: number[], values: number[], rules: Partial<TokenRules> = {}) =>
    answer(
      samplerOf(GREEDY, prompt, { thinking: new ThinkingBudget(THINKING, limit, prompt), ...rules }),
      values,
      4,
    );
  assert.equal(await thinks(2, [3, 0], values), [2, 2, 1, 2]);
  assert.equal(await thinks(0, [3, 0], values), [1, 2, 2, 2]);
  assert.equal(await thinks(2, [3, 0], values, { allowed: [3], badWords: [[1]] }), [3, 3, 1, 3]);
  // It does not think, or has done so.
  assert.equal(await thinks(0, [3], values), [2, 2, 2, 2]);
  assert.equal(await thinks(0, [0, 3, 1], values), [2, 2, 2, 2]);
  // It opens thinking by itself, once closed again and again.
  assert.equal(await thinks(0, [3], [9, -5, 3, 2]), [0, 1, 0, 1]);
  // What ends by itself is left alone.
  assert.equal(await thinks(3, [0], [0, 4, 3, 2]), [1, 1, 1, 1]);
});

test("rows behind drafts are those that come when the drafts are accepted, and asking changes nothing", () => {
  const prompt = [3, 2, 0];
  for (const options of [
    { repetitionPenalty: 1.5, presencePenalty: 0.25, frequencyPenalty: 0.5, logitBias: new Map([[1, 2]]) },
    { frequencyPenalty: -1 },
    { repetitionPenalty: 0.5 },
    {},
  ]) {
    for (const drafts of [[], [1], [1, 1, 2], [2, 2, 2, 3, 0]]) {
      const rules = {
        minTokens: 3,
        endIds: [3],
        badWords: [[2, 2], [1]],
        allowed: [0, 1, 2],
        thinking: new ThinkingBudget(THINKING, 2, prompt),
      };
      const sampler = samplerOf(options, prompt, rules);
      sampler.accept(2);
      const ahead = sampler.rows(drafts);
      assert.is(ahead.length, drafts.length + 1);
      for (const [index, row] of ahead.entries()) {
        assert.equal(
          effect(row),
          effect(sampler.rows()[0]!),
          `${JSON.stringify(options)} ${drafts}, ${index}`,
        );
        assert.equal(effect(row), effect(sampler.rows()[0]!));
        if (index < drafts.length) sampler.accept(drafts[index]!);
      }
    }
  }
});

/** What a row is chosen by, however its changes are listed. */
function effect({ adjustments, ...row }: SamplingRow) {
  const changes = new Map<number, string>();
  for (const { ids, values } of adjustments?.changes ?? []) {
    ids.forEach((id, index) => {
      changes.set(id, [...values.subarray(2 * index, 2 * index + 2)].join());
    });
  }
  const changed = [...changes].filter(([, change]) => change !== "1,0").sort();
  return { ...row, changed, mask: [...(adjustments?.mask ?? [])] };
}

test("a grammar's masks are met with what is allowed, for each draft its own", () => {
  const told: number[] = [];
  const constraint = {
    masks: (drafts: readonly number[]) =>
      [0b0011, null, 0b1000]
        .slice(0, drafts.length + 1)
        .map((word) => (word === null ? null : Int32Array.of(word))),
    accept: (token: number) => void told.push(token),
  };
  const sampler = samplerOf({}, [], { allowed: [1, 2], constraint });
  const masks = sampler.rows([1, 2]).map(({ adjustments }) => [...(adjustments?.mask ?? [])]);
  assert.equal(masks, [[0b0010], [0b0110], [0]]);
  assert.equal(samplerOf({}, [], { constraint }).rows([1])[1]!.adjustments, undefined);
  sampler.accept(1);
  assert.equal(told, [1]);
});

test("rows of different answers lie one after another, changes and masks padded once for all", () => {
  const one = samplerOf({ repetitionPenalty: 1.5 }, [3, 1, 3]);
  one.accept(2);
  const [masked] = samplerOf({}, [], { allowed: [0, 1] }).rows([2]);
  const rows = [
    ...one.rows(),
    ...samplerOf({}, [1, 2]).rows(),
    masked!,
    ...samplerOf({ repetitionPenalty: 2 }, [0, 1]).rows(),
  ];
  const inputs = samplingInputs(rows, V);
  assert.equal([...inputs.adjustedIds], [3, 1, 2, 0, 1, -1, -1, -1]);
  assert.equal([...inputs.logitChanges.subarray(0, 10)], [1.5, 0, 1.5, 0, 1.5, 0, 2, 0, 2, 0]);
  assert.equal([...inputs.cuAdjustedIds], [0, 3, 3, 5]);
  assert.equal([...inputs.adjustedRows], [0, 2, 3]);
  assert.equal([...inputs.adjustedAs], [0, -1, 1, 2]);
  assert.equal([...inputs.tokenMasks], [0b0011]);
  assert.equal([...inputs.tokenMaskOf], [-1, 0, -1]);
  assert.equal([...inputs.samplingSettings.subarray(0, 3)], [1, 1, 0]);
  assert.equal(samplingSymbols(inputs, V), { logits: 4, adjusted: 3, changes: 8, masks: 1 });
  const plainRows = samplingInputs(samplerOf({}, [1, 2]).rows([1]), V);
  assert.equal(samplingSymbols(plainRows, V), { logits: 2, adjusted: 0, changes: 0, masks: 0 });
});

test("rows that share a mask share its bits", () => {
  const inputs = samplingInputs(samplerOf({}, [], { allowed: [0, 1] }).rows([1, 1]), V);
  assert.equal([...inputs.tokenMaskOf], [0, 0, 0]);
  assert.is(inputs.tokenMasks.length, 1);
});

test("a mask that leaves nothing is an error that says so", async () => {
  const sampler = samplerOf(GREEDY, [], { allowed: [1], badWords: [[1, 1]] });
  await answer(sampler, [3, 4, 0, 2], 2).then(
    () => assert.unreachable(),
    (error) => {
      assert.is(error.code, "OPTION_INVALID");
      assert.match(error.message, /Nothing may be chosen as token 2 of the answer/);
    },
  );
});

test("nothing to choose from is an error", async () => {
  for (const broken of [Number.NaN, Number.POSITIVE_INFINITY]) {
    for (const temperature of [0, 1]) {
      const sampler = samplerOf({ temperature });
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
    { presencePenalty: 2.1 },
    { frequencyPenalty: Number.NaN },
    { seed: -1 },
  ];
  for (const wrong of cases) {
    const [name] = Object.keys(wrong);
    assert.throws(
      () => samplerOf(wrong),
      (error: { code: string; message: string }) => {
        return error.code === "OPTION_INVALID" && error.message.startsWith(`${name} is`);
      },
    );
  }
});

test.after(() => engine.dispose());

test.run();
