/** q8 and q4 against ggml's Q8_0 and Q4_0: bytes and values, and what can not be stored. */
import { readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { blockParts, countNotFiniteBlocks, readBlocks, widenBlocks } from "../../src/tensor/block-parts.ts";
import { quantise } from "../../src/tensor/blocks.ts";
import { storageBytes } from "../../src/tensor/storage.ts";

const golden = JSON.parse(readFileSync("test/golden/data/blocks.json", "utf8"));
const bytesOf = (text: string) => Uint8Array.from(Buffer.from(text, "base64"));
const floatsOf = (text: string) => new Float32Array(bytesOf(text).buffer);
const VALUES = floatsOf(golden.values);
const [ROWS, COLS] = golden.shape as [number, number];

for (const format of ["q8", "q4"] as const) {
  const expected = bytesOf(golden[format].bytes);

  test(`${format}: bytes are ggml's`, () => {
    const bytes = new Uint8Array(storageBytes(format, ROWS, COLS));
    assert.is(quantise(format, VALUES, bytes), 0);
    assert.equal(bytes, expected);
  });

  test(`${format}: values are ggml's, from any element on`, () => {
    const all = new Float32Array(ROWS * COLS);
    widenBlocks(format, expected, 0, all.length, all, 0);
    assert.equal(all, floatsOf(golden[format].values));
    for (const [first, count] of [
      [0, 1],
      [31, 2],
      [33, 30],
      [40, 100],
    ] as const) {
      const part = new Float32Array(count + 1);
      widenBlocks(format, expected, first, count, part, 1);
      assert.equal(part.subarray(1), all.subarray(first, first + count));
    }
  });

  test(`${format}: integers and scales of blocks`, () => {
    const parts = blockParts(format, 64);
    const { quants, scales } = parts;
    readBlocks(format, expected, 6, 2, parts);
    const values = floatsOf(golden[format].values).subarray(6 * 32, 8 * 32);
    for (const [i, value] of values.entries()) {
      assert.is(Math.fround((quants[i] as number) * (scales[i >> 5] as number)), value);
    }
  });

  test(`${format}: a block with a value that is not finite, or too large for a scale, is not finite`, () => {
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1e8]) {
      const values = new Float32Array(96).fill(1);
      values[40] = bad;
      const bytes = new Uint8Array(storageBytes(format, 1, 96));
      assert.is(quantise(format, values, bytes), 32);
      assert.is(countNotFiniteBlocks(format, bytes), 32);
    }
  });

  test(`${format}: what is too small for a scale becomes zeros`, () => {
    const values = new Float32Array(32).fill(1e-40);
    const bytes = new Uint8Array(storageBytes(format, 1, 32));
    assert.is(quantise(format, values, bytes), 0);
    const back = new Float32Array(32);
    widenBlocks(format, bytes, 0, 32, back, 0);
    assert.ok(back.every((value) => value === 0));
  });
}

test.run();
