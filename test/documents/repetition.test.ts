/** Loops of models are cut; what repeats itself on real pages is not. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { withoutLoops } from "../../src/documents/markdown/repetition.ts";

/** Sentences that do not repeat. */
const prose = (letters: number) => {
  let text = "";
  for (let i = 0; text.length < letters; i++) text += `Sentence ${i} tells of ${(i * 7919) % 10007} things. `;
  return text;
};
const LONG = prose(2100);
const row = (cells: readonly string[]) => `<tr>${cells.map((cell) => `<td>${cell}</td>`).join("")}</tr>`;

const REAL: readonly [what: string, text: string][] = [
  [
    "a table of zeros",
    `${LONG}<table>${Array(80)
      .fill(row(["0", "0", "0", "0"]))
      .join("")}</table>${LONG}`,
  ],
  ["a Markdown table of zeros", `${LONG}\n${Array(80).fill("| 0 | 0 | 0 | 0 |").join("\n")}\n${LONG}`],
  [
    "an empty form",
    `${LONG}<table>${Array(60)
      .fill(row(["", "", ""]))
      .join("")}</table>`,
  ],
  [
    "dot leaders",
    `${LONG}${Array.from({ length: 30 }, (_, i) => `Chapter ${i} ${". ".repeat(60)}${i * 12}`).join("\n")}`,
  ],
  ["a column of zeros", `${LONG}${"0\n".repeat(300)}`],
  ["rows of numbers", `${LONG}${"0.00 0.00 0.00 0.00\n".repeat(40)}`],
  ["lines to write on", `${LONG}${"____________________\n".repeat(40)}`],
  ["nine times the same sentence", `${LONG}${"This is said again. ".repeat(9)}${LONG}`],
  ["a short text that repeats itself", "Yes, of course. ".repeat(20)],
  [
    "a table with equal words in a column",
    `${LONG}${Array.from({ length: 40 }, (_, i) => row([`${i}`, "in stock"])).join("")}`,
  ],
];

for (const [what, text] of REAL) {
  test(`${what} stays`, () => assert.equal(withoutLoops(text, false), { text, isCut: false }));
}

test("a sentence again and again is said once", () => {
  const found = withoutLoops(`${LONG}${"It goes round and round. ".repeat(50)}The end.`, false);
  assert.equal(found, { text: `${LONG}It goes round and round. The end.`, isCut: true });
});

test("a line that is most of the text is there once", () => {
  const lines = Array.from({ length: 200 }, (_, i) =>
    i % 10 === 9 ? `Line ${i * 37}` : "the same line",
  ).join("\n");
  const { text, isCut } = withoutLoops(lines, false);
  assert.is(isCut, true);
  assert.is(text.split("\n").filter((line) => line === "the same line").length, 1);
  assert.is(text.split("\n").filter((line) => /^Line/.test(line)).length, 20);
});

for (const unit of ["<tr><td>0</td></tr>", "and so on ", "0 ", "very long ".repeat(30)]) {
  test(`an answer that was ended in a loop of ${JSON.stringify(unit.slice(0, 20))} is cut at it`, () => {
    const { text, isCut } = withoutLoops(
      `${prose(300)}${unit.repeat(130)}${unit.slice(0, unit.length / 2)}`,
      true,
    );
    assert.is(isCut, true);
    assert.ok(text.length <= prose(300).length + unit.length);
    assert.ok(text.startsWith(prose(300).trimEnd()));
  });
}

test("an answer that was ended elsewhere stays", () => {
  assert.equal(withoutLoops(LONG, true), { text: LONG, isCut: false });
  const dots = `${prose(300)}Contents ${".".repeat(120)}`;
  assert.equal(withoutLoops(dots, true), { text: dots, isCut: false });
});

test("texts of one letter, and of many, take no time to speak of", () => {
  withoutLoops("a".repeat(60_000), false);
  withoutLoops("ab".repeat(30_000), true);
  withoutLoops(prose(60_000), false);
});

test.run();
