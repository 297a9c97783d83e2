/** Text out of a stream: whole characters, and an exact end at stop strings. */

import { test } from "uvu";
import * as assert from "uvu/assert";
import type { GlimtError } from "../../src/errors.ts";
import { IncrementalDetokenizer } from "../../src/text/detokenizer.ts";
import { StopMatcher } from "../../src/text/stop-matcher.ts";
import { fc } from "../property.ts";
import { goldenTokenizer, TOKENIZER_NAMES } from "./golden.ts";

const LONE_SURROGATE = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/;

for (const name of TOKENIZER_NAMES) {
  test(`${name}: pieces are whole characters and join to the decoded text`, () => {
    const { golden, tokenizer } = goldenTokenizer(name);
    for (const skipSpecialTokens of [true, false]) {
      for (const [ids] of golden.decode) {
        const detokenizer = new IncrementalDetokenizer(tokenizer, { skipSpecialTokens });
        const pieces = [...ids.map((id) => detokenizer.push(id)), detokenizer.flush()];
        assert.is(pieces.join(""), tokenizer.decode(ids, { skipSpecialTokens }), `${ids}`);
        for (const piece of pieces) assert.not.match(piece, LONE_SURROGATE);
      }
    }
  });
}

test("a character cut by tokens appears at once, when its last byte is there", () => {
  const { tokenizer } = goldenTokenizer("adds-prefix");
  const ids = tokenizer.encode("[gMASK]x\u{20000}y").slice(1);
  assert.ok(ids.length > 4, "the character is several tokens");
  const detokenizer = new IncrementalDetokenizer(tokenizer);
  const pieces = ids.map((id) => detokenizer.push(id)).filter((piece) => piece !== "");
  assert.equal(pieces, ["x", "\u{20000}", "y"]);
  assert.is(detokenizer.flush(), "");
});

test("a special token inside a character does not break it, as it is not part of the text", () => {
  const { tokenizer } = goldenTokenizer("adds-prefix");
  const ids = tokenizer.encode("[gMASK]\u{20000}").slice(1);
  const user = tokenizer.idOf("<|user|>") as number;
  const mixed = ids.flatMap((id) => [id, user]);
  const detokenizer = new IncrementalDetokenizer(tokenizer);
  assert.is(mixed.map((id) => detokenizer.push(id)).join("") + detokenizer.flush(), "\u{20000}");
  assert.is(tokenizer.decode(mixed), "\u{20000}");
});

test("what never became whole is U+FFFD at the end", () => {
  const { tokenizer } = goldenTokenizer("adds-prefix");
  const ids = tokenizer.encode("[gMASK]\u{20000}").slice(1, -1);
  const detokenizer = new IncrementalDetokenizer(tokenizer);
  assert.is(ids.map((id) => detokenizer.push(id)).join(""), "");
  assert.is(detokenizer.flush(), "\ufffd");
});

function run(stops: readonly string[], pieces: readonly string[]) {
  const matcher = new StopMatcher(stops);
  const shown = pieces.map((piece) => matcher.push(piece));
  return { text: shown.join("") + matcher.flush(), shown, matched: matcher.matched };
}

for (const [stops, pieces, shown, matched] of [
  [["END"], ["abc", "ENDxyz", "more"], ["abc", "", ""], "END"],
  [["END"], ["abE", "N", "Dx"], ["ab", "", ""], "END"],
  [["END"], ["abE", "Nx"], ["ab", "ENx"], null],
  [["END"], ["EEN", "D"], ["E", ""], "END"],
  [["aab"], ["aaa", "b"], ["a", ""], "aab"],
  [["\n\n"], ["a\n", "\nb"], ["a", ""], "\n\n"],
  [["abcd", "c"], ["ab", "cd"], ["", "ab"], "c"],
  [["c", "abc"], ["ab", "c"], ["", ""], "abc"],
  [["。"], ["你好", "。再见"], ["你好", ""], "。"],
  [[], ["abc"], ["abc"], null],
] as const) {
  test(`stop ${JSON.stringify(stops)} in ${JSON.stringify(pieces)}`, () => {
    const result = run(stops, pieces);
    assert.equal(result.shown, shown);
    assert.is(result.matched, matched);
  });
}

test("what was held back is shown when the text ends", () => {
  const matcher = new StopMatcher(["</answer>"]);
  assert.is(matcher.push("42</ans"), "42");
  assert.is(matcher.flush(), "</ans");
});

test("how the text is cut changes nothing", () => {
  const letters = fc.constantFrom("a", "b", "c");
  const word = (minLength: number, maxLength: number) => fc.string({ unit: letters, minLength, maxLength });
  fc.assert(
    fc.property(
      fc.array(word(1, 4), { maxLength: 3 }),
      word(0, 30),
      fc.array(fc.nat(5), { maxLength: 40 }),
      (stops, text, sizes) => {
        const pieces: string[] = [];
        let at = 0;
        for (const size of [...sizes, text.length]) {
          pieces.push(text.slice(at, at + size));
          at += size;
        }
        const cut = run(stops, pieces);
        const whole = run(stops, [text]);
        assert.is(cut.text, whole.text);
        assert.is(cut.matched, whole.matched);
        assert.ok(text.startsWith(whole.text));
        if (whole.matched !== null) assert.ok(text.startsWith(whole.text + whole.matched));
        else assert.ok(stops.every((stop) => !text.includes(stop)));
      },
    ),
    { seed: 3, numRuns: 2000 },
  );
});

/** A special token in the stream is written as a capital letter. */
function runWithSpecials(stops: readonly string[], stream: string) {
  const matcher = new StopMatcher(stops, ["A", "B"]);
  const shown = [...stream].map((letter) =>
    letter < "a" ? matcher.pushSpecial(letter) : matcher.push(letter),
  );
  return { text: shown.join("") + matcher.flush(), matched: matcher.matched !== null };
}

test("a stop string that holds a special token's text ends the text at the token, others see what is shown", () => {
  assert.equal(runWithSpecials(["A"], "abAc"), { text: "ab", matched: true });
  assert.equal(runWithSpecials(["bA"], "abAc"), { text: "a", matched: true });
  assert.equal(runWithSpecials(["bAc", "x"], "abAdx"), { text: "abd", matched: true });
  assert.equal(runWithSpecials(["bAc"], "abA"), { text: "ab", matched: false });
  assert.equal(runWithSpecials(["bc"], "abAcd"), { text: "a", matched: true });
  assert.equal(runWithSpecials(["AB"], "aAABb"), { text: "a", matched: true });
  const letters = (minLength: number, maxLength: number) =>
    fc.string({ unit: fc.constantFrom("a", "b", "A", "B"), minLength, maxLength });
  fc.assert(
    fc.property(fc.array(letters(1, 4), { maxLength: 3 }), letters(0, 25), (stops, stream) => {
      assert.equal(runWithSpecials(stops, stream), slowly(stops, stream));
    }),
    { seed: 3, numRuns: 3000 },
  );
});

/** Letter by letter, without holding anything back. */
function slowly(stops: readonly string[], stream: string) {
  const shown = (text: string) => text.replace(/[AB]/g, "");
  for (let end = 1; end <= stream.length; end++) {
    const full = stream.slice(0, end);
    const kept = stops.flatMap((stop) => {
      const text = /[AB]/.test(stop) ? full : shown(full);
      return text.endsWith(stop) ? [shown(text.slice(0, text.length - stop.length))] : [];
    });
    if (kept.length > 0) return { text: kept.sort((a, b) => a.length - b.length)[0], matched: true };
  }
  return { text: shown(stream), matched: false };
}

test("an empty stop string is refused", () => {
  assert.throws(
    () => new StopMatcher(["a", ""]),
    (error: GlimtError) => error.code === "OPTION_INVALID",
  );
});

test.run();
