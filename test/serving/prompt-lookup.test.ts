/** What was said before, found in any text as a search of all of it finds it. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { PromptLookup } from "../../src/serving/prompt-lookup.ts";
import { fc } from "../property.ts";

/** The longest end of the text that ends earlier too, where it ends first, and what follows: the text, then that again. */
function searched(tokens: readonly number[], most: number): number[] {
  for (let length = tokens.length - 1; length >= 2; length--) {
    const end = tokens.slice(-length).join();
    for (let start = 0; start + length < tokens.length; start++) {
      if (tokens.slice(start, start + length).join() !== end) continue;
      const drafts: number[] = [];
      for (let at = start + length; drafts.length < Math.min(most, length); at++) {
        drafts.push((at < tokens.length ? tokens[at] : drafts[at - tokens.length]) as number);
      }
      return drafts;
    }
  }
  return [];
}

test("the drafts of every beginning of a text are those that a search finds", async () => {
  const texts = fc.oneof(
    fc.array(fc.nat(1), { maxLength: 40 }),
    fc.array(fc.nat(4), { maxLength: 60 }),
    fc.array(fc.constantFrom(0, 7, 150_000), { maxLength: 40 }),
    fc
      .tuple(fc.array(fc.nat(9), { minLength: 1, maxLength: 6 }), fc.nat(8))
      .map(([part, times]) => Array.from({ length: times }, () => part).flat()),
  );
  await fc.assert(
    fc.asyncProperty(texts, fc.nat(20), fc.integer({ min: 0, max: 9 }), async (tokens, given, most) => {
      const prompt = tokens.slice(0, given);
      const lookup = new PromptLookup(await PromptLookup.of(prompt));
      for (let length = prompt.length; ; length++) {
        assert.equal(lookup.drafts(most), searched(tokens.slice(0, length), most));
        if (length === tokens.length) return;
        lookup.push(tokens[length] as number);
      }
    }),
    { numRuns: 400 },
  );
});

test("several answers go on from one index, and know nothing of one another", async () => {
  const answers = fc.array(fc.array(fc.nat(2), { maxLength: 30 }), { minLength: 2, maxLength: 3 });
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(2), { maxLength: 40 }), answers, async (prompt, texts) => {
      const before = await PromptLookup.of(prompt);
      const lookups = texts.map(() => new PromptLookup(before));
      for (let at = 0; at < 30; at++) {
        for (const [index, text] of texts.entries()) {
          const lookup = lookups[index] as PromptLookup;
          if (at < text.length) lookup.push(text[at] as number);
          assert.equal(lookup.drafts(8), searched([...prompt, ...text.slice(0, at + 1)], 8));
        }
      }
    }),
    { numRuns: 100 },
  );
});

test("a long prompt is indexed in pieces, between which other tasks run, until it is given up", async () => {
  const tokens = Int32Array.from({ length: 200_000 }, (_, index) => (Math.imul(index, index) >>> 3) % 5000);
  let turns = 0;
  let isDone = false;
  const count = () => {
    turns++;
    if (!isDone) setImmediate(count);
  };
  setImmediate(count);
  const lookup = await PromptLookup.of(tokens);
  isDone = true;
  assert.ok(turns > 2, `${turns} turns`);
  lookup.push(tokens[0] as number);
  const stop = new AbortController();
  stop.abort();
  const error = await PromptLookup.of(tokens, stop.signal).catch((error) => error);
  assert.is(error.code, "ABORTED");
});

test.run();
