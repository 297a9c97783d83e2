import { test } from "uvu";
import * as assert from "uvu/assert";
import { tokenLogprob } from "../../src/serving/token-logprobs.ts";

const tokenizer = { decode: (ids: readonly number[]) => `<${ids.join()}>` };

test("log probabilities are those of a softmax over all logits", () => {
  const logits = Float32Array.from([0.125, 0.5, 0.125, 0.25], (share) => Math.log(share) + 7);
  const { top, ...chosen } = tokenLogprob(logits, 3, 2, tokenizer);
  assert.is(chosen.tokenId, 3);
  assert.is(chosen.text, "<3>");
  assert.ok(Math.abs(chosen.logprob - Math.log(0.25)) < 1e-6);
  assert.equal(
    top.map(({ tokenId, text }) => [tokenId, text]),
    [
      [1, "<1>"],
      [3, "<3>"],
    ],
  );
  assert.ok(Math.abs(top[0]!.logprob - Math.log(0.5)) < 1e-6);
  assert.is(top[1]!.logprob, chosen.logprob);
});

test("large logits and those of -Infinity are no matter", () => {
  const logits = Float32Array.of(3e4, Number.NEGATIVE_INFINITY, 3e4, -3e4);
  assert.is(tokenLogprob(logits, 0, 0, tokenizer).logprob, -Math.log(2));
  assert.is(tokenLogprob(logits, 1, 0, tokenizer).logprob, Number.NEGATIVE_INFINITY);
  assert.equal(tokenLogprob(logits, 0, 0, tokenizer).top, []);
});

test.run();
