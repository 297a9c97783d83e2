/** Grammars as text: what they take, and what is wrong with them by line and column. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { ebnf } from "./accepts.ts";

const ARITHMETIC = `
# sums of products
root ::= term (("+" | "-") term)*
term ::= factor ("*" factor)*
factor ::= [0-9]+ | "(" root ")"
`;

const CASES: readonly [
  name: string,
  grammar: string,
  takes: readonly string[],
  refuses: readonly string[],
][] = [
  ["recursion", ARITHMETIC, ["1", "1+2*(3-4)", "((7))"], ["", "1+", "(1", "a"]],
  ["texts and escapes", 'root ::= "a\\n\\"\\x41\\u00e9" | "b"', ['a\n"Aé', "b"], ["a", ""]],
  ["sets", "root ::= [a-c\\-\\]] [^a-z] .", ["a1x", "-\n日", "]é😀"], ["d11", "aaa"]],
  ["counts", 'root ::= "a"{2} "b"{1,} "c"{,2} "d"?', ["aab", "aabbccd"], ["ab", "aa", "aabccc"]],
  ["rules on several lines", 'root ::=\n  "a"\n  | x # or\nx ::= "b"\n  "c"', ["a", "bc"], ["b"]],
  ["nothing", 'root ::= "a" ("b" | )', ["a", "ab"], [""]],
  ["right recursion", 'root ::= "a" root | "b"', ["b", "aaab"], ["a"]],
  ["brackets that match", 'root ::= "(" root ")" root | ""', ["", "()", "(())()"], ["(", ")("]],
  ["a repeated rule that may be nothing", 'root ::= x*\nx ::= "a"? "b"?', ["", "abab", "ba"], ["c"]],
];

for (const [name, grammar, takes, refuses] of CASES) {
  test(name, () => {
    const isTaken = ebnf(grammar);
    for (const text of takes) assert.ok(isTaken(text), `takes ${JSON.stringify(text)}`);
    for (const text of refuses) assert.not(isTaken(text), `refuses ${JSON.stringify(text)}`);
  });
}

const WRONG: readonly [grammar: string, expected: RegExp][] = [
  ["", /has no rule "root"/],
  ['start ::= "a"', /has no rule "root"/],
  ['root ::= "a', /^structured\.grammar: line 1, column 10: this text is not closed\.$/],
  ['root ::= "a"\n  | x', /line 2, column 5: there is no rule "x"/],
  ['root ::= ("a"', /column 10: this group is not closed/],
  ['root ::= "a")', /column 13: "\)" begins nothing/],
  ["root ::= [z-a]", /a range counts down/],
  ['root ::= "a"{3,1}', /counts down/],
  ['root ::= "a"\nroot ::= "b"', /line 2, column 1: there are two rules "root"/],
  ['root = "a"', /line 1, column 1: expected a rule like/],
  ['root ::= "\\q"', /\\q is not known/],
  ['root ::= "a" (="b")', /lookahead is not supported/],
  ['root ::= root "a" | "a"', /rule "root" begins with itself \(left recursion\)/],
  ['root ::= x\nx ::= y? x "a" | "b"\ny ::= "c"', /rule "x" begins with itself/],
  ['root ::= "a" root', /there is no text that satisfies it/],
];

for (const [grammar, expected] of WRONG) {
  test(`${JSON.stringify(grammar)} is refused`, () => {
    assert.throws(
      () => ebnf(grammar),
      (error: Error & { code?: string }) => {
        assert.is(error.code, "OPTION_INVALID");
        assert.match(error.message, expected);
        return true;
      },
    );
  });
}

test("a grammar that can be read in very many ways is given up, not followed for ever", () => {
  const isTaken = ebnf(
    'root ::= x x x x x x x x x x x x\nx ::= "a" x "a" | "a" x "b" | y x? | "a"\ny ::= "a" x? "a"?',
  );
  assert.throws(() => isTaken("a".repeat(3000)), /so many ways/);
});

test.run();
