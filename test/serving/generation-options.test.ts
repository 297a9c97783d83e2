/** What of sampling comes from the caller, the checkpoint, or transformers' defaults. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { parseGenerationConfig } from "../../src/config/generation-config.ts";
import { type GenerateOptions, resolveGeneration } from "../../src/serving/generation-options.ts";

const tokenizer = {
  encode: (text: string) => [...text].map((character) => character.charCodeAt(0) - 32),
  idOf: () => null,
};

const resolved = (file: object, options: GenerateOptions) => {
  const { sampling } = resolveGeneration(options, parseGenerationConfig(file, {}), {
    vocabSize: 100,
    tokenizer,
  });
  const { temperature, topK, topP, repetitionPenalty } = sampling;
  return [temperature, topK, topP, repetitionPenalty];
};
const GREEDY = [0, 0, 1, 1];
const take: GenerateOptions = { checkpointSampling: true };

/** The right column is what GenerationConfig of transformers 5.18 makes of the file when it generates. */
const CASES: readonly [name: string, file: object, options: GenerateOptions, right: readonly number[]][] = [
  ["nobody asks", { do_sample: true, temperature: 0.8, top_k: 2 }, {}, GREEDY],
  ["a file that does not sample", { do_sample: false, temperature: 0.8, top_k: 2 }, take, GREEDY],
  ["all is in the file", { do_sample: true, temperature: 0.8, top_k: 2, top_p: 0.6 }, take, [0.8, 2, 0.6, 1]],
  ["nothing is in the file", { do_sample: true }, take, [1, 50, 1, 1]],
  [
    "the caller has the last word",
    { do_sample: true, top_k: 2 },
    { ...take, topK: 0, topP: 0.5 },
    [1, 0, 0.5, 1],
  ],
  ["a penalty holds for greedy answers", { repetition_penalty: 1.1 }, {}, [0, 0, 1, 1.1]],
];

for (const [name, file, options, right] of CASES) {
  test(name, () => assert.equal(resolved(file, options), right));
}

test("several answers have as many seeds: past the whole numbers that are told apart two would be the same", () => {
  const largest = Number.MAX_SAFE_INTEGER;
  resolved({}, { n: 3, seed: largest - 2 });
  resolved({}, { seed: 2 ** 60 });
  assert.throws(() => resolved({}, { n: 3, seed: largest - 1 }), /seed is \d+, expected at most/);
});

test("a penalty with which logits would be no numbers is refused by name", () => {
  for (const repetitionPenalty of [1e-40, 0.009, 101, 1e30, 0, Number.NaN]) {
    assert.throws(
      () => resolved({}, { repetitionPenalty }),
      /repetitionPenalty is .*, expected from 0\.01 to 100/,
    );
  }
  for (const repetitionPenalty of [0.01, 100]) {
    assert.is(resolved({}, { repetitionPenalty })[3], repetitionPenalty);
  }
});

test.run();
