import { readFile } from "node:fs/promises";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { badWordTokens, bannedBehind } from "../../src/serving/bad-words.ts";
import { USUAL_DETECTION } from "../../src/serving/repetition.ts";
import { resolveTokens, type TokenOptions } from "../../src/serving/token-options.ts";
import { createTokenizer } from "../../src/text/tokenizer.ts";

const tokenizer = createTokenizer(
  JSON.parse(await readFile("test/golden/data/glm_ocr-tiny/tokenizer.json", "utf8")),
);
const ends = { eosTokenIds: [7], stopTokenIds: [9] };

const resolved = (options: TokenOptions, context: object = {}) =>
  resolveTokens(options, { vocabSize: 100, tokenizer, maxTokens: 50, ...ends, ...context });

test("nothing is asked for by default", () => {
  assert.equal(resolved({}), {
    logitBias: new Map(),
    badWords: [],
    allowed: null,
    minTokens: 0,
    endIds: [7, 9],
    thinkingBudget: null,
    repetition: null,
    topLogprobs: null,
  });
});

test("options are taken in the forms that clients have", () => {
  const expected = new Map([
    [3, 1.5],
    [20, Number.NEGATIVE_INFINITY],
  ]);
  assert.equal(resolved({ logitBias: { 3: 1.5, "20": -100 } }).logitBias, expected);
  assert.equal(
    resolved({
      logitBias: new Map([
        [3, 1.5],
        [20, -100],
      ]),
    }).logitBias,
    expected,
  );
  assert.equal(resolved({ ignoreEos: true }).endIds, [9]);
  assert.is(resolved({ logprobs: true }).topLogprobs, 0);
  assert.is(resolved({ logprobs: true, topLogprobs: 20 }).topLogprobs, 20);
  assert.is(resolved({ repetitionDetection: true }).repetition, USUAL_DETECTION);
  assert.is(resolved({ repetitionDetection: false }).repetition, null);
  assert.equal(resolved({ repetitionDetection: { maxPatternSize: 20, minCount: 5 } }).repetition, {
    minPatternSize: 1,
    maxPatternSize: 20,
    minCount: 5,
    minLength: 0,
  });
});

const REFUSED: readonly [options: object, message: RegExp][] = [
  [{ logitBias: [1] }, /^logitBias is a list of 1, expected an object or a Map of token ids, 0\.\.99/],
  [{ logitBias: { 100: 1 } }, /^logitBias has the key "?100"?, expected/],
  [{ logitBias: { "-1": 1 } }, /^logitBias has the key "-1"/],
  [{ logitBias: { 3: 101 } }, /^logitBias of token 3 is 101, expected .* numbers of -100 to 100/],
  [{ logitBias: { 3: Number.NaN } }, /^logitBias of token 3 is NaN/],
  [{ badWords: "no" }, /^badWords must be a list of texts/],
  [{ badWords: ["fine", " "] }, /^badWords must be a list of texts that are not blank/],
  [{ allowedTokenIds: [100] }, /^allowedTokenIds must be a list of token ids, whole numbers of 0\.\.99/],
  [{ allowedTokenIds: [] }, /^allowedTokenIds is empty/],
  [
    { allowedTokenIds: [4], logitBias: { 4: -100 } },
    /^allowedTokenIds holds only tokens that are banned by logitBias/,
  ],
  [
    { allowedTokenIds: [4, 7, 9], logitBias: { 4: -100 }, minTokens: 1 },
    /^allowedTokenIds holds only tokens that are banned by logitBias and minTokens/,
  ],
  [{ minTokens: 51 }, /^minTokens is 51, more than maxTokens, which is 50/],
  [{ minTokens: -1 }, /^minTokens is -1, expected a whole number from 0/],
  [{ thinkingBudget: 1.5 }, /^thinkingBudget is 1\.5/],
  [{ repetitionDetection: 3 }, /^repetitionDetection is 3, expected true, false or/],
  [
    { repetitionDetection: { maxPatternSize: 3 } },
    /^repetitionDetection\.minCount is undefined, expected a whole number from 2/,
  ],
  [
    { repetitionDetection: { maxPatternSize: 3, minCount: 2, minPatternSize: 4 } },
    /minPatternSize is 4, expected a whole number of 1 to 3/,
  ],
  [
    { repetitionDetection: { maxPatternSize: 3, minCounts: 2 } },
    /repetitionDetection has no option "minCounts"/,
  ],
  [{ logprobs: true, topLogprobs: 21 }, /^topLogprobs is 21, expected a whole number of 0 to 20/],
  [{ topLogprobs: 2 }, /^topLogprobs needs logprobs: true/],
];

for (const [options, message] of REFUSED) {
  test(`${JSON.stringify(options)} is refused`, () => {
    assert.throws(
      () => resolved(options as TokenOptions),
      (error: { code: string; message: string }) =>
        error.code === "OPTION_INVALID" && message.test(error.message),
    );
  });
}

test("what leaves something is taken", () => {
  resolved({ allowedTokenIds: [4, 7], minTokens: 3 });
  resolved({ minTokens: 50 });
  resolved({ allowedTokenIds: [4, 5], logitBias: { 4: -100 } });
});

test("a budget of thinking is refused where a tokenizer can not think", () => {
  assert.is(resolved({ thinkingBudget: 0 }).thinkingBudget, 0);
  assert.throws(
    () => resolved({ thinkingBudget: 5 }, { tokenizer: { encode: tokenizer.encode, idOf: () => null } }),
    /thinkingBudget has no effect: this tokenizer has no tokens <think> and <\/think>/,
  );
});

test("a bad word is known by its tokens, at the start and behind a blank", () => {
  const found = badWordTokens(["table", " table"], tokenizer);
  assert.equal(found, [tokenizer.encode("table"), tokenizer.encode(" table")]);
  assert.is(tokenizer.decode(found[1]!), " table");
});

test("the last token of a bad word is banned behind those before it", () => {
  const words = [[5], [1, 2, 3], [2, 4]];
  assert.equal(bannedBehind([], words), [5]);
  assert.equal(bannedBehind([2], words), [5, 4]);
  assert.equal(bannedBehind([0, 1, 2], words), [5, 3, 4]);
  assert.equal(bannedBehind([1, 2, 0], words), [5]);
});

test.run();
