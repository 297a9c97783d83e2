/** Ids of hard texts as Hugging Face gives them, and what they cost: near-linear, and stopped by a signal. */
import { readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { GlimtError } from "../../src/errors.ts";
import { createTokenizer } from "../../src/text/tokenizer.ts";
import type { GoldenTokenizer } from "./golden.ts";

const FILE = process.env.GLIMT_TOKENS ?? "test/golden/data/text/tokens.json";
const golden: Record<string, GoldenTokenizer> = JSON.parse(readFileSync(FILE, "utf8"));

for (const [name, { tokenizer, config, encode, length }] of Object.entries(golden)) {
  test(`${name}: ${encode.length} texts have Hugging Face's ids`, async () => {
    const ours = createTokenizer(tokenizer, config);
    assert.is(ours.vocabSize, length);
    for (const [text, ids] of encode) {
      assert.equal(ours.encode(text), ids, JSON.stringify(text));
      assert.ok(ours.fewestTokens(text) <= ids.length, JSON.stringify(text));
    }
  });
}

const plain = golden.plain as GoldenTokenizer;
const tokenizer = createTokenizer(plain.tokenizer, plain.config);

test("400,000 of any character are encoded at once", () => {
  for (const piece of [" ", "a", "7", "你", "😀", "\u200b", "a b\n", "<", "<|user", "<|user|>", "\n"]) {
    const text = piece.repeat(4e5 / piece.length);
    const began = process.cpuUsage();
    tokenizer.encode(text);
    // Far above what it takes. Quadratic merging took 27 s.
    assert.ok(process.cpuUsage(began).user < 4e6, JSON.stringify(piece));
  }
});

test("a long text is left for turns of the event loop, and for good when the signal fires", async () => {
  let ticks = 0;
  const timer = setInterval(() => ticks++, 5);
  const text = `${" ".repeat(5e5)}x${"word ".repeat(1e5)}`;
  assert.equal(await tokenizer.encodeWithTurns(text), tokenizer.encode(text));
  clearInterval(timer);
  assert.ok(ticks > 1);
  const controller = new AbortController();
  setTimeout(() => controller.abort(), 50);
  try {
    for (;;) await tokenizer.encodeWithTurns(" ".repeat(5e6), { signal: controller.signal });
  } catch (error) {
    assert.is((error as GlimtError).code, "ABORTED");
  }
});

test("texts encoded side by side do not disturb each other", async () => {
  const texts = plain.encode.slice(0, 40).map(([text]) => text.repeat(300));
  const together = await Promise.all(texts.map((text) => tokenizer.encodeWithTurns(text)));
  texts.forEach((text, index) => {
    assert.equal(together[index], tokenizer.encode(text));
  });
});

test("a run that is too long for the pattern is an error of ours", () => {
  assert.throws(
    () => tokenizer.encode("你".repeat(2e7)),
    (error: unknown) => error instanceof GlimtError && error.code === "INPUT_INVALID",
  );
});

test.run();
