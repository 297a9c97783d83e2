/** The table of storage formats: bytes of every kind of row, those that only later formats have too. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  FORMATS,
  type FormatRow,
  formatCode,
  LAYOUTS,
  STORAGE_FORMATS,
  storageBytes,
  WEIGHT_LAYOUTS,
} from "../../src/tensor/storage.ts";

const int8: FormatRow = { element: "signed", bits: 8, group: { rows: 1, cols: 32, scale: "f16" } };
const int4: FormatRow = {
  element: "unsigned",
  bits: 4,
  group: { rows: 1, cols: 128, scale: "bf16", minimum: "f32" },
};
const int6: FormatRow = { element: "signed", bits: 6, group: { rows: 1, cols: 16, scale: "f32" } };
const fp8Rows: FormatRow = { element: "e4m3", bits: 8, group: { rows: 1, cols: "all", scale: "f32" } };
const fp8Tiles: FormatRow = { element: "e4m3", bits: 8, group: { rows: 128, cols: 128, scale: "bf16" } };

const BYTES: readonly [name: string, format: FormatRow, rows: number, cols: number, bytes: number][] = [
  ["f32", FORMATS.f32, 3, 5, 60],
  ["bf16", FORMATS.bf16, 3, 5, 30],
  ["f16", FORMATS.f16, 3, 5, 30],
  ["i32", FORMATS.i32, 3, 5, 60],
  ["q8", FORMATS.q8, 3, 64, 3 * 2 * 34],
  ["q4", FORMATS.q4, 3, 64, 3 * 2 * 18],
  ["q4_1", FORMATS.q4_1, 3, 64, 3 * 2 * 20],
  ["q5_0", FORMATS.q5_0, 3, 64, 3 * 2 * 22],
  ["q5_1", FORMATS.q5_1, 3, 64, 3 * 2 * 24],
  ["q4_k", FORMATS.q4_k, 3, 512, 3 * 2 * 144],
  ["q5_k", FORMATS.q5_k, 3, 512, 3 * 2 * 176],
  ["q6_k", FORMATS.q6_k, 3, 512, 3 * 2 * 210],
  ["no rows", FORMATS.f32, 0, 5, 0],
  ["no columns of fp8", fp8Rows, 3, 0, 0],
  ["8 bits, blocks of 32", int8, 2, 64, 2 * (64 + 2 * 2)],
  ["8 bits, a last block that is short", int8, 2, 65, 2 * (65 + 3 * 2)],
  ["4 bits with a minimum, blocks of 128", int4, 4, 256, 4 * (128 + 2 * (2 + 4))],
  ["4 bits, an odd row ends in half a byte", int4, 2, 3, 2 * (2 + 6)],
  ["6 bits, blocks of 16", int6, 1, 48, 36 + 3 * 4],
  ["fp8, a scale a row", fp8Rows, 7, 300, 7 * 300 + 7 * 4],
  ["fp8, a scale for each 128 x 128", fp8Tiles, 256, 128, 256 * 128 + 2 * 2],
  ["fp8, 128 x 128 cut at both edges", fp8Tiles, 129, 129, 129 * 129 + 4 * 2],
];

for (const [name, format, rows, cols, bytes] of BYTES) {
  test(`bytes of ${name}`, () => assert.is(storageBytes(format, rows, cols), bytes));
}

test("tiles are stored whole, with the scales of their rows", () => {
  assert.is(storageBytes("bf16", 9, 5, "tiles8"), 16 * 5 * 2);
  assert.is(storageBytes("bf16", 8, 5, "tiles8"), storageBytes("bf16", 8, 5));
  assert.is(storageBytes("f32", 0, 5, "tiles8"), 0);
  assert.is(storageBytes(int8, 9, 64, "tiles8"), 16 * (64 + 2 * 2));
  assert.is(storageBytes("q8", 9, 32, "tiles8"), 2 * 272);
  assert.is(storageBytes("q4", 9, 32, "tiles8"), 2 * 144);
  assert.is(storageBytes("q6_k", 9, 256, "tiles8"), 16 * 210);
  assert.is(storageBytes(fp8Tiles, 121, 128, "tiles8"), 128 * 128 + 2);
});

test("codes are fixed: programs and native modules hold them", () => {
  assert.equal(STORAGE_FORMATS, [
    "f32",
    "bf16",
    "f16",
    "i32",
    "q8",
    "q4",
    "q4_1",
    "q5_0",
    "q5_1",
    "q4_k",
    "q5_k",
    "q6_k",
    "fp8",
  ]);
  assert.equal(
    STORAGE_FORMATS.map(formatCode),
    STORAGE_FORMATS.map((_, index) => index),
  );
  assert.equal(WEIGHT_LAYOUTS, ["plain", "tiles8", "split"]);
  assert.is(LAYOUTS.tiles8.tileRows, 8);
  assert.is(LAYOUTS.split.tileRows, 1);
});

/** What a row says that an element is, as float32: the definition of lossless, slowly. */
function value({ element, bits, group }: FormatRow, pattern: number, scale = 1, minimum = 0): number {
  const signed = element === "signed" && pattern >= 2 ** (bits - 1) ? pattern - 2 ** bits : pattern;
  const number = element === "e4m3" ? e4m3(pattern) : signed;
  if (!group) return Math.fround(number);
  const scaled = Math.fround(number * scale);
  return group.minimum ? Math.fround(scaled + minimum) : scaled;
}

function e4m3(pattern: number): number {
  const sign = pattern & 0x80 ? -1 : 1;
  const [exponent, fraction] = [(pattern >> 3) & 15, pattern & 7];
  if (exponent === 15 && fraction === 7) return Number.NaN;
  return sign * (exponent === 0 ? fraction * 2 ** -9 : (1 + fraction / 8) * 2 ** (exponent - 7));
}

test("values of rows with groups: number times scale plus minimum, each step in float32", () => {
  const third = Math.fround(1 / 3);
  assert.is(value(int8, 0x80, third), Math.fround(-128 * third));
  assert.is(value(int6, 0x3f, 0.5), -0.5);
  assert.is(value(int4, 15, third, 1e-3), Math.fround(Math.fround(15 * third) + 1e-3));
  assert.is(value(fp8Tiles, 0x7e, 2), 896);
  assert.is(value(fp8Rows, 0x81, 1), -(2 ** -9));
});

test("two forms of a matrix are lossless when their float32 values are equal, whatever their numbers are", () => {
  const coarse: FormatRow = { element: "signed", bits: 4, group: { rows: 1, cols: 32, scale: "f32" } };
  const wide: FormatRow = { element: "signed", bits: 8, group: { rows: 1, cols: 32, scale: "f32" } };
  for (let number = -8; number < 8; number++) {
    assert.is(value(coarse, number & 15, 0.25), value(wide, (number * 2) & 255, 0.125));
  }
  // Moving the zero point into the minimum rounds in another place, so it is another matrix.
  const shifted: FormatRow = {
    element: "unsigned",
    bits: 4,
    group: { rows: 1, cols: 32, scale: "f32", minimum: "f32" },
  };
  const scale = Math.fround(0.1);
  const minimum = Math.fround(-8 * scale);
  const differs = Array.from(
    { length: 16 },
    (_, q) => value(shifted, q, scale, minimum) !== value(coarse, (q - 8) & 15, scale),
  );
  assert.ok(differs.some(Boolean));
});

test.run();
