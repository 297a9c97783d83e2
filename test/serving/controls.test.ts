/** What a request asks of single tokens, on a whole model. */

import { readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type GenerateOptions, loadModel, type Message } from "../../src/index.ts";
import { createTokenizer } from "../../src/text/tokenizer.ts";

const CHECKPOINT = "test/golden/data/glm_ocr-tiny";
const json = (name: string) => JSON.parse(readFileSync(`${CHECKPOINT}/${name}`, "utf8"));
const tokenizer = createTokenizer(json("tokenizer.json"), json("tokenizer_config.json"));
const model = await loadModel(CHECKPOINT, { backend: "wasm" });
const messages: Message[] = [{ role: "user", content: "Say something." }];
const eos = (json("config.json").text_config.eos_token_id as number[])[0] as number;

const answer = (options: GenerateOptions = {}) => model.complete(messages, { maxTokens: 16, ...options });

test("log probabilities are the model's own, whatever the token was chosen by", async () => {
  const plain = await answer({ logprobs: true, topLogprobs: 2 });
  assert.is(plain.logprobs?.length, plain.tokenIds.length);
  for (const [index, { tokenId, logprob, top }] of plain.logprobs!.entries()) {
    assert.is(tokenId, plain.tokenIds[index]);
    // Greedy: it is the most probable one.
    assert.equal(top[0], { tokenId, logprob, text: top[0]!.text });
    assert.is(top.length, 2);
    assert.ok(top[0]!.logprob >= top[1]!.logprob && top[0]!.logprob <= 0);
  }
  const [first, second] = plain.logprobs![0]!.top as unknown as [
    { tokenId: number },
    { tokenId: number; logprob: number },
  ];
  const banned = await answer({
    logprobs: true,
    topLogprobs: 2,
    logitBias: { [first.tokenId]: -100 },
    maxTokens: 1,
  });
  assert.equal(banned.tokenIds, [second.tokenId]);
  assert.is(banned.logprobs![0]!.logprob, second.logprob);
  assert.equal(banned.logprobs![0]!.top, plain.logprobs![0]!.top);
  assert.is((await answer({ maxTokens: 1 })).logprobs, undefined);
});

test("pieces have the log probabilities of the result, and guessing changes none", async () => {
  const options = { maxTokens: 24, logprobs: true, topLogprobs: 1 } as const;
  const told = [];
  const pieces = model.generate(messages, options);
  let next = await pieces.next();
  for (; !next.done; next = await pieces.next()) told.push(next.value.logprob);
  assert.equal(told, next.value.logprobs);
  const guessed = await answer({ ...options, speculation: "lookup" });
  assert.equal(guessed.logprobs, next.value.logprobs);
});

test("an answer ends where it may", async () => {
  const towardsEnd = { logitBias: { [eos]: 100 } };
  const short = await answer(towardsEnd);
  assert.equal([short.tokenIds, short.finishReason], [[eos], "stop"]);
  const later = await answer({ ...towardsEnd, minTokens: 5 });
  assert.is(later.tokenIds.length, 6);
  assert.is(later.tokenIds.indexOf(eos), 5);
  const never = await answer({ ...towardsEnd, ignoreEos: true });
  assert.equal([never.tokenIds.length, never.finishReason, never.text], [16, "length", ""]);
  assert.is((await answer({ ...towardsEnd, ignoreEos: true, stopTokenIds: [eos] })).tokenIds.length, 1);
});

test("stop strings are looked for behind the least tokens", async () => {
  const whole = await answer();
  const stop = whole.text.slice(0, 1);
  assert.is((await answer({ stop })).text, "");
  const later = await answer({ stop, minTokens: 4 });
  assert.ok(later.text.length > 0 && whole.text.startsWith(later.text));
});

test("a loop ends the answer", async () => {
  const token = tokenizer.encode("a")[0] as number;
  const looping = { logitBias: { [token]: 100 }, maxTokens: 400 };
  const found = await answer({ ...looping, repetitionDetection: { maxPatternSize: 4, minCount: 7 } });
  assert.equal([found.finishReason, found.tokenIds.length, found.text], ["repetition", 7, "aaaaaaa"]);
  const later = await answer({
    ...looping,
    repetitionDetection: { maxPatternSize: 4, minCount: 7 },
    minTokens: 9,
  });
  assert.equal([later.finishReason, later.tokenIds.length], ["repetition", 10]);
  assert.is((await answer({ ...looping, repetitionDetection: true })).tokenIds.length, 256);
});

test("bad words are not said, and only allowed tokens are", async () => {
  const whole = await answer();
  const word = whole.text.trim().slice(0, 2);
  const without = await answer({ badWords: [word] });
  assert.ok(!without.text.includes(word), without.text);
  const allowed = tokenizer.encode("yes no");
  const few = await answer({ allowedTokenIds: allowed, temperature: 1, seed: 3 });
  assert.ok(few.tokenIds.every((id) => allowed.includes(id)));
});

test("thinking that the template opens, or the model, ends behind its budget", async () => {
  const [open, close] = [tokenizer.idOf("<think>"), tokenizer.idOf("</think>")] as [number, number];
  const thinks = { logitBias: { [open]: -100, [close]: -100 } };
  const continued = { continueFinalMessage: true };
  const opened: Message[] = [...messages, { role: "assistant", content: "<think>So" }];
  const budget = async (thinkingBudget: number) => {
    const inputs = await model.process(opened, { ...continued });
    assert.is(inputs.inputIds.includes(open), true, inputs.promptText);
    return (await model.complete(inputs, { maxTokens: 8, thinkingBudget, ...thinks })).tokenIds.indexOf(
      close,
    );
  };
  assert.is(await budget(3), 3);
  assert.is(await budget(0), 0);
  // The prompt does not think, nor does the model.
  assert.is((await answer({ thinkingBudget: 0, ...thinks })).tokenIds.indexOf(close), -1);
  const itself = await answer({
    thinkingBudget: 2,
    minTokens: 8,
    logitBias: { [open]: 100 },
    presencePenalty: 2,
  });
  assert.is(itself.tokenIds[0], open);
});

test("options that leave nothing are refused at once", async () => {
  await answer({ allowedTokenIds: [3], logitBias: { 3: -100 } }).then(
    () => assert.unreachable(),
    (error) => assert.is(error.code, "OPTION_INVALID"),
  );
});

test.after(() => model.dispose());
test.run();
