/** What models read becomes Markdown by the vendor's rules, a row each. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { DocumentRegion } from "../../src/documents/document-page.ts";
import type { RegionLabel } from "../../src/documents/layout/classes.ts";
import { pageMarkdown } from "../../src/documents/markdown/document-text.ts";
import { mergedRegions } from "../../src/documents/markdown/merge-regions.ts";
import { formatPage, formatRegion } from "../../src/documents/markdown/region-text.ts";

const REGIONS: readonly [native: string, label: RegionLabel, read: string, expected: string][] = [
  ["doc_title", "text", "A title", "# A title"],
  ["doc_title", "text", "## A title", "# A title"],
  ["paragraph_title", "text", "1 Methods", "## 1 Methods"],
  ["paragraph_title", "text", "- # Methods", "## Methods"],
  ["text", "text", "one\ntwo\n\nthree", "one\n\ntwo\n\nthree"],
  ["text", "text", "  \\t\\tone\\t ", "one"],
  ["text", "text", "• point", "- point"],
  ["text", "text", "·point", "- point"],
  ["text", "text", "* point", "- point"],
  ["text", "text", "**bold** word", "**bold** word"],
  ["text", "text", "（3）third", "(3) third"],
  ["text", "text", "(a)first", "(a) first"],
  ["text", "text", "12.Point", "12. Point"],
  ["text", "text", "12. Point", "12. Point"],
  ["text", "text", "3）point", "3) point"],
  ["text", "text", "B) answer", "B) answer"],
  ["text", "text", "1.5 kg of it", "1.5 kg of it"],
  ["text", "text", "e.g. this", "e.g. this"],
  ["text", "text", "U.S. law", "U.S. law"],
  ["text", "text", "```js\nlet a;", "```js\nlet a;\n```"],
  ["text", "text", "Contents ........... 12", "Contents ... 12"],
  ["text", "text", "Name: _________", "Name: ___"],
  ["display_formula", "formula", "E = mc^2", "$$\nE = mc^2\n$$"],
  ["display_formula", "formula", "$$E = mc^2$$", "$$\nE = mc^2\n$$"],
  ["display_formula", "formula", "\\[ x \\]", "$$\nx\n$$"],
  ["table", "table", "<table><tr><td>a.....b</td></tr></table>", "<table><tr><td>a.....b</td></tr></table>"],
  ["text", "text", "", ""],
];

for (const [native, label, read, expected] of REGIONS) {
  test(`${native}: ${JSON.stringify(read)}`, () => {
    assert.is(formatRegion({ text: read, isUnfinished: false }, label, native).content, expected);
  });
}

test("a page that is read whole keeps its lines", () => {
  const read = { text: " one\n* two\n", isUnfinished: false };
  assert.is(formatPage(read, "text").content, "one\n* two");
  assert.is(formatPage({ text: "x", isUnfinished: false }, "formula").content, "$$\nx\n$$");
});

const region = (native: string, content: string, left = 100): DocumentRegion => ({
  index: 0,
  label: /formula$/.test(native) ? "formula" : native === "table" || native === "image" ? native : "text",
  native_label: native,
  content,
  bbox_2d: [left, 0, 900, 100],
});
const F = (inner: string) => `$$\n${inner}\n$$`;

const MERGES: readonly [what: string, given: DocumentRegion[], expected: string[]][] = [
  [
    "a number behind its formula",
    [region("display_formula", F("x")), region("formula_number", "(1)")],
    [F("x \\tag{1}")],
  ],
  [
    "a number before its formula",
    [region("formula_number", "（2a）"), region("display_formula", F("x"))],
    [F("x \\tag{2a}")],
  ],
  [
    "a number between two formulas is that of the first",
    [region("display_formula", F("x")), region("formula_number", "(1)"), region("display_formula", F("y"))],
    [F("x \\tag{1}"), F("y")],
  ],
  ["a number alone", [region("text", "a"), region("formula_number", "(1)")], ["a"]],
  ["a divided word", [region("text", "a hyphen-"), region("text", "ated word")], ["a hyphenated word"]],
  [
    "a divided word around a table",
    [region("text", "infor-"), region("table", "<table></table>"), region("text", "mation")],
    ["information", "<table></table>"],
  ],
  ["three parts", [region("text", "a-"), region("text", "b-"), region("text", "c")], ["abc"]],
  ["a range is no word", [region("text", "1990-"), region("text", "and on")], ["1990-", "and on"]],
  ["a name is no word's end", [region("text", "Anglo-"), region("text", "Saxon")], ["Anglo-", "Saxon"]],
  [
    "a missing bullet",
    [region("text", "- a"), region("text", "b", 105), region("text", "- c")],
    ["- a", "- b", "- c"],
  ],
  [
    "a text that is further in is no point",
    [region("text", "- a"), region("text", "b", 150), region("text", "- c")],
    ["- a", "b", "- c"],
  ],
];

for (const [what, given, expected] of MERGES) {
  test(what, () => {
    const merged = mergedRegions(given);
    assert.equal(
      merged.map(({ content }) => content),
      expected,
    );
    assert.equal(
      merged.map(({ index }) => index),
      expected.map((_, index) => index),
    );
  });
}

test("blocks stand apart; pictures are linked where they are saved", () => {
  const image: DocumentRegion = {
    ...region("image", ""),
    index: 1,
    image_path: "imgs/my (1)_page0_idx1.png",
  };
  const page = [region("doc_title", "# T"), image, region("text", "end")];
  assert.is(pageMarkdown(page, 1), "# T\n\n![Image 0-1](imgs/my%20%281%29_page0_idx1.png)\n\nend");
});

test.run();
