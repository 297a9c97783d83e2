/** Which boxes of a layout model are regions, and in which order they are read. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type Box, regionsOf } from "../../src/documents/layout/boxes.ts";
import { classNumber, classOf, NUM_CLASSES } from "../../src/documents/layout/classes.ts";
import { boxesOf } from "../../src/documents/layout/outputs.ts";
import { resizedPlanes } from "../../src/documents/layout/resize-cubic.ts";

const PAGE = { width: 1000, height: 1000 };
const box = (name: string, corners: readonly number[], { score = 0.9, order = 0 } = {}): Box => ({
  classNumber: classNumber(name),
  score,
  corners: corners as unknown as Box["corners"],
  order,
});
const names = (boxes: readonly Box[], page = PAGE) => regionsOf(boxes, page, 0.3).map(({ name }) => name);

test("there are 25 classes, each with a use", () => {
  const uses = new Map<string, number>();
  for (let number = 0; number < NUM_CLASSES; number++) {
    const { use } = classOf(number)!;
    uses.set(use, (uses.get(use) ?? 0) + 1);
  }
  assert.equal(Object.fromEntries(uses), { text: 12, abandon: 8, skip: 2, formula: 2, table: 1 });
  assert.is(classOf(25), undefined);
  assert.is(classOf(-1), undefined);
});

test("regions are those that the model is sure of, in the order of reading", () => {
  const boxes = [
    box("text", [0, 500, 400, 600], { order: 3 }),
    box("doc_title", [0, 0, 400, 50], { order: 1 }),
    box("text", [0, 700, 400, 800], { score: 0.29, order: 4 }),
    box("table", [0, 100, 400, 400], { order: 2 }),
    box("footer", [0, 950, 400, 990], { order: 5 }),
  ];
  assert.equal(names(boxes), ["doc_title", "table", "text"]);
});

test("of boxes that are nearly the same the surest stays; of two classes only if they are the same", () => {
  const text = box("text", [0, 0, 100, 100], { score: 0.8 });
  assert.equal(names([text, box("text", [5, 0, 105, 100], { score: 0.9 })]).length, 1);
  // 81 of 119: more than 0.6 for one class.
  assert.equal(names([text, box("table", [0, 0, 100, 101], { score: 0.9 })]), ["table"]);
  assert.equal(names([text, box("text", [60, 0, 160, 100])]).length, 2);
});

test("what lies inside another is part of it, but for pictures, charts and seals", () => {
  const table = box("table", [0, 0, 500, 500]);
  assert.equal(names([table, box("text", [10, 10, 100, 50], { order: 1 })]), ["table"]);
  assert.equal(names([table, box("image", [10, 10, 100, 50], { order: 1 })]), ["table", "image"]);
  assert.equal(names([table, box("seal", [10, 10, 100, 50], { order: 1 })]), ["table", "seal"]);
  assert.equal(names([table, box("text", [450, 450, 560, 560], { order: 1 })]), ["table", "text"]);
});

test("of references the entries stay", () => {
  const list = box("reference", [0, 0, 500, 500]);
  const entry = (top: number, order: number) => box("reference_content", [0, top, 500, top + 90], { order });
  assert.equal(names([list, entry(0, 1), entry(100, 2)]), ["reference_content", "reference_content"]);
});

test("a picture that is the page is its ground, unless there is nothing else", () => {
  const ground = box("image", [0, 0, 1000, 990]);
  assert.equal(names([ground, box("text", [0, 0, 10, 10], { order: 1 })]), ["text"]);
  assert.equal(names([ground]), ["image"]);
});

test("corners are whole pixels of the page", () => {
  const [region] = regionsOf([box("text", [-4.2, 10.9, 2000, 20.9])], PAGE, 0.3);
  assert.equal(region!.corners, [0, 10, 1000, 20]);
  assert.equal(regionsOf([box("text", [50, 50, 50.5, 90]), box("text", [NaN, 0, 9, 9])], PAGE, 0.3), []);
});

test("outputs that are none of both kinds are told of by their names and sizes", () => {
  const outputs = { masks: { dims: [1, 300, 200, 200], data: new Float32Array() } };
  assert.throws(() => boxesOf(outputs, PAGE, [1, 1]), /gives masks \[1, 300, 200, 200\]; expected rows/);
});

/** By torch: interpolate(mode="bicubic", antialias=False), rounded; of [7, 13, 3] bytes (131 i + (i >> 3)) & 255. */
const RESIZED = [
  [4, 5772, [125, 79, 109, 222, 101, 68, 98, 210, 117, 58, 88, 200, 109, 46, 76, 189]],
  [20, 147377, [0, 61, 136, 33, 73, 156, 59, 82, 175, 85, 92, 193, 112, 102, 210, 139]],
] as const;

for (const [side, sum, start] of RESIZED) {
  test(`a page is resized to ${side} as torch does`, async () => {
    const rgb = Uint8Array.from({ length: 7 * 13 * 3 }, (_, at) => (at * 131 + (at >> 3)) & 255);
    const bytes = Array.from(await resizedPlanes(rgb, 13, 7, side), (value) => Math.round(value * 255));
    assert.equal(bytes.slice(0, start.length), [...start]);
    assert.is(
      bytes.reduce((a, b) => a + b),
      sum,
    );
  });
}

test.run();
