/** Loops end, and pages that repeat themselves do not: judged on the tokens of real markup. */
import { readFile } from "node:fs/promises";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  type RepetitionDetection,
  RepetitionDetector,
  USUAL_DETECTION,
} from "../../src/serving/repetition.ts";
import { createTokenizer } from "../../src/text/tokenizer.ts";
import { fc } from "../property.ts";

const tokenizer = createTokenizer(
  JSON.parse(await readFile("test/golden/data/glm_ocr-tiny/tokenizer.json", "utf8")),
);

/** The number of tokens at which a loop is seen; null for none. */
function seenAt(tokens: readonly number[], detection: RepetitionDetection): number | null {
  const detector = new RepetitionDetector(detection);
  const index = tokens.findIndex((token) => detector.push(token));
  return index < 0 ? null : index + 1;
}

/** vLLM's definition: for some size the last tokens are one pattern, minCount times. */
function ends(
  tokens: readonly number[],
  { minPatternSize = 1, maxPatternSize, minCount }: RepetitionDetection,
) {
  for (let size = minPatternSize; size <= maxPatternSize && size * minCount <= tokens.length; size++) {
    const tail = tokens.slice(-size * minCount);
    if (tail.every((token, index) => token === tail[index % size])) return true;
  }
  return false;
}

test("a loop is seen at the token at which its definition first holds", () => {
  const cases = fc.record({
    minPatternSize: fc.integer({ min: 1, max: 3 }),
    more: fc.integer({ min: 0, max: 3 }),
    minCount: fc.integer({ min: 2, max: 4 }),
    tokens: fc.array(fc.integer({ min: 0, max: 1 }), { minLength: 40, maxLength: 40 }),
  });
  const property = fc.property(cases, ({ minPatternSize, more, minCount, tokens }) => {
    const detection = { minPatternSize, maxPatternSize: minPatternSize + more, minCount };
    const first = tokens.findIndex((_, index) => ends(tokens.slice(0, index + 1), detection));
    assert.is(seenAt(tokens, detection), first < 0 ? null : first + 1);
  });
  fc.assert(property, { numRuns: 400 });
});

test("with a least length short patterns have to come more often", () => {
  const detection = { maxPatternSize: 4, minCount: 3, minLength: 12 };
  assert.is(seenAt(new Array<number>(30).fill(7), detection), 12);
  assert.is(seenAt([1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4], detection), 12);
  assert.is(seenAt([9, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2], detection), null);
});

const row = (cells: number, text = "") => `<tr>${`<td>${text}</td>`.repeat(cells)}</tr>\n`;

const PAGES: Readonly<Record<string, string>> = {
  "a form of 60 empty rows": `<table>\n${row(6).repeat(60)}</table>`,
  "40 rows of 31 zeros": `<table>${row(31, "0").repeat(40)}</table>`,
  "55 rows that are the same": `<table><tr><th>Item</th><th>Price</th></tr>${"<tr><td>Coffee</td><td>2.50</td></tr>".repeat(55)}</table>`,
  "contents with dots": Array.from({ length: 40 }, (_, n) => `${n} Chapter ${".".repeat(200)} ${n}`).join(
    "\n",
  ),
  "contents with blanks between dots": Array.from(
    { length: 40 },
    (_, n) => `Part ${n}${" .".repeat(100)} ${n}`,
  ).join("\n"),
  "lines to write on": `Name: ${"_".repeat(200)}\n`.repeat(25),
  "30 address labels": "Jane Doe\n12 Long Street\nSpringfield 12345\n\n".repeat(30),
  "markdown of 50 empty rows": `| a | b | c |\n|---|---|---|\n${"|   |   |   |\n".repeat(50)}`,
};

for (const [name, text] of Object.entries(PAGES)) {
  test(`${name} is no loop`, () => {
    assert.is(seenAt(tokenizer.encode(text), USUAL_DETECTION), null);
  });
}

const LOOPS: Readonly<Record<string, string>> = {
  "a word": " the",
  "a digit": "0",
  "an empty cell": "<td></td>",
  "an empty row": row(4),
  "a sentence": "The quick brown fox jumps over the lazy dog. ",
  "a line break": "\n\n",
};

for (const [name, text] of Object.entries(LOOPS)) {
  test(`${name} for ever is a loop, whatever was before`, () => {
    const before = tokenizer.encode(PAGES["55 rows that are the same"] as string);
    const tokens = [...before, ...tokenizer.encode(text.repeat(400))];
    const found = seenAt(tokens, USUAL_DETECTION);
    assert.ok(found !== null && found > before.length + 200, `${found} of ${tokens.length}`);
  });
}

test.run();
