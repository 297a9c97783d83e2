/** Regular expressions: the automaton takes what the host's own RegExp takes, and names what it can not do. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { grammarTasks } from "../../src/grammar/tasks.ts";
import { fc } from "../property.ts";
import { regex } from "./accepts.ts";

const EXPRESSIONS = [
  "",
  "a",
  "a|bc|",
  "(a|b)*c",
  "a{2,4}",
  "(ab){2,}",
  "[a-c]+[^a-c]",
  "\\d{3}-\\d{4}",
  "^a?b$",
  "a.c",
  "[\\w.]+@[a-z]+",
  "(?:x|y)(?<n>z)?",
  "\\u00e9|\\u{1F600}|日",
  "[à-ü]*",
  "\\s\\S",
  "\\p{Lu}\\p{Ll}+",
  "[\\]\\-]",
  "a+?b*?",
  "(a*)*b",
  "(a|a)*",
  "x{0}y",
];

const ALPHABET = [
  "a",
  "b",
  "c",
  "x",
  "y",
  "z",
  "1",
  "2",
  "-",
  "@",
  ".",
  " ",
  "\n",
  "é",
  "😀",
  "日",
  "A",
  "]",
  "ü",
  "\u2028",
];

for (const source of EXPRESSIONS) {
  test(`/${source}/ takes what RegExp takes`, () => {
    const ours = regex(source);
    const theirs = new RegExp(`^(?:${source})$`, "u");
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...ALPHABET), { maxLength: 7 }), (characters) => {
        const text = characters.join("");
        assert.is(ours(text), theirs.test(text), JSON.stringify(text));
      }),
    );
    for (const text of [
      "",
      "a",
      "bc",
      "aa",
      "abab",
      "ac",
      "a-c",
      "123-4567",
      "a.b@cc",
      "xz",
      "é",
      "😀",
      "Ab",
      " x",
      "aab",
      "y",
      "ab",
    ]) {
      assert.is(ours(text), theirs.test(text), JSON.stringify(text));
    }
  });
}

const WRONG: readonly [source: string, expected: RegExp][] = [
  ["a(b", /^structured\.regex: at character 2, this group is not closed\.$/],
  ["ab)", /at character 3, there is a "\)" too many/],
  ["*a", /at character 1, there is nothing to repeat/],
  ["a**", /at character 3, there is nothing to repeat/],
  ["a{3,1}", /at character 2, \{3,1\} counts down/],
  ["a{1000001}", /a count is larger than 100000/],
  ["[z-a]", /at character 2, a range counts down/],
  ["[abc", /at character 1, this set is not closed/],
  ["(?=a)b", /at character 1, lookahead is not supported/],
  ["(?<!a)b", /lookbehind is not supported/],
  ["(a)\\1", /at character 4, a reference to a group is not supported/],
  ["\\bword", /at character 1, \\b is not supported/],
  ["a^b", /\^ can only stand at the beginning/],
  ["a$b", /something follows \$/],
  ["a|\\uD83D\\u0041", /at character 3, half of a pair of surrogates is no character/],
  ["[\\uD83D]", /at character 2, half of a pair/],
  ["\\u{dc00}", /at character 1, half of a pair/],
  ["\\p{Nonsense}", /names no property of Unicode/],
  ["(?i)a", /flags of a group are not supported/],
  ["\\", /is followed by nothing/],
  ["[^\\s\\S]", /there is no text that satisfies it/],
];

for (const [source, expected] of WRONG) {
  test(`/${source}/ is refused`, () => {
    assert.throws(
      () => regex(source),
      (error: Error & { code?: string }) => {
        assert.is(error.code, "OPTION_INVALID");
        assert.match(error.message, expected);
        return true;
      },
    );
  });
}

test("so many alternatives that they can not be read are refused as what they are", async () => {
  const source = Array.from({ length: 200_000 }, () => "a").join("|");
  try {
    await grammarTasks().compileStructured({ kind: "regex", source });
  } catch (error) {
    assert.match((error as Error).message, /too much, or too much in one another/);
    return;
  }
  assert.unreachable();
});

test("counts in counts cost little, and too much is refused", () => {
  const ours = regex("((a{1000}){1000}){1000}");
  assert.is(ours("aaa"), false);
  assert.throws(() => regex(`${"(?:a{100000}b|c)".repeat(5)}`), /too large/);
});

test.run();
