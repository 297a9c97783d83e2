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

test("the drafts of every beginning of a text are those that a search finds", () => {
  const texts = fc.oneof(
    fc.array(fc.nat(1), { maxLength: 40 }),
    fc.array(fc.nat(4), { maxLength: 60 }),
    fc.array(fc.constantFrom(0, 7, 150_000), { maxLength: 40 }),
    fc
      .tuple(fc.array(fc.nat(9), { minLength: 1, maxLength: 6 }), fc.nat(8))
      .map(([part, times]) => Array.from({ length: times }, () => part).flat()),
  );
  fc.assert(
    fc.property(texts, fc.nat(20), fc.integer({ min: 0, max: 9 }), (tokens, given, most) => {
      const lookup = new PromptLookup(tokens.slice(0, given));
      for (let length = Math.min(given, tokens.length); ; length++) {
        assert.equal(lookup.drafts(most), searched(tokens.slice(0, length), most));
        if (length === tokens.length) return;
        lookup.push(tokens[length] as number);
      }
    }),
    { numRuns: 400 },
  );
});

test.run();
