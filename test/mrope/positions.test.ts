import { test } from "uvu";
import * as assert from "uvu/assert";
import type { GlimtError } from "../../src/errors.ts";
import { mropePositions, textPositions } from "../../src/mrope/positions.ts";
import { crc32 } from "../golden/crc32.ts";
import { fc } from "../property.ts";
import { golden } from "./golden.ts";
import { randomPrompt } from "./random-prompt.ts";

const axes = (positionIds: readonly Int32Array[]) => positionIds.map((axis) => [...axis]);

for (const { name, mmTokenTypeIds, positionIds, ropeDelta, ...options } of golden.named) {
  test(`positions equal transformers': ${name}`, () => {
    const found = mropePositions(mmTokenTypeIds, options);
    assert.equal(axes(found.positionIds), positionIds);
    assert.is(found.ropeDelta, ropeDelta);
  });
}

test(`positions of ${golden.checksums.length} random prompts equal transformers'`, () => {
  golden.checksums.forEach((expected, seed) => {
    const { mmTokenTypeIds, ...options } = randomPrompt(seed);
    const { positionIds, ropeDelta } = mropePositions(mmTokenTypeIds, options);
    const words = Int32Array.from([...positionIds.flatMap((axis) => [...axis]), ropeDelta]);
    assert.is(crc32(new Uint8Array(words.buffer)), expected, `prompt of seed ${seed}`);
  });
});

test("adjacent images are told apart by their grids", () => {
  const { positionIds, ropeDelta } = mropePositions([1, 1, 1, 1, 0], {
    imageGridThw: [
      [1, 2, 6],
      [1, 2, 2],
    ],
    spatialMergeSize: 2,
  });
  assert.equal(axes(positionIds), [
    [0, 0, 0, 3, 4],
    [0, 0, 0, 3, 4],
    [0, 1, 2, 3, 4],
  ]);
  assert.is(ropeDelta, 0);
});

test("an image and a video in one prompt take their own grids", () => {
  const { positionIds } = mropePositions([2, 0, 2, 0, 1, 1], {
    imageGridThw: [[1, 4, 2]],
    videoGridThw: [[2, 2, 2]],
    spatialMergeSize: 2,
  });
  assert.equal(axes(positionIds), [
    [0, 1, 2, 3, 4, 4],
    [0, 1, 2, 3, 4, 5],
    [0, 1, 2, 3, 4, 4],
  ]);
});

test("videoLayout block runs the time axis through adjacent frames", () => {
  const { positionIds, ropeDelta } = mropePositions([0, 2, 2, 2, 2, 2, 2, 0], {
    videoGridThw: [[3, 2, 4]],
    spatialMergeSize: 2,
    videoLayout: "block",
  });
  assert.equal(axes(positionIds), [
    [0, 1, 1, 2, 2, 3, 3, 4],
    [0, 1, 1, 1, 1, 1, 1, 4],
    [0, 1, 2, 1, 2, 1, 2, 4],
  ]);
  assert.is(ropeDelta, -3);
});

test("the first generated token continues behind the largest position", () => {
  fc.assert(
    fc.property(fc.nat(1_000_000), (seed) => {
      const { mmTokenTypeIds, ...options } = randomPrompt(seed);
      const { positionIds, ropeDelta } = mropePositions(mmTokenTypeIds, options);
      const [next] = textPositions(mmTokenTypeIds.length, 1, ropeDelta);
      return next[0] === Math.max(...positionIds.flatMap((axis) => [...axis])) + 1;
    }),
  );
});

const mismatches: [string, number[], Parameters<typeof mropePositions>[1], RegExp][] = [
  [
    "too few tokens",
    [0, 1, 1, 0],
    { imageGridThw: [[1, 4, 4]], spatialMergeSize: 2 },
    /stands for 4 tokens, but 2/,
  ],
  ["no grid", [0, 1], { spatialMergeSize: 2 }, /further image, but there are only 0/],
  [
    "a grid too many",
    [0],
    { videoGridThw: [[2, 2, 2]], spatialMergeSize: 2 },
    /tokens for 0 video grids, but 2/,
  ],
  ["a merge size that is no count", [0], { spatialMergeSize: 1.5 }, /spatialMergeSize is 1.5/],
  ["an unknown type", [3], { spatialMergeSize: 2 }, /type 3/],
  ["an image of two frames", [1, 1], { imageGridThw: [[2, 2, 2]], spatialMergeSize: 2 }, /2 frames/],
];
for (const [name, tokens, options, message] of mismatches) {
  test(`tokens and grids that do not match are an error: ${name}`, () => {
    assert.throws(
      () => mropePositions(tokens, options),
      (error: GlimtError) => error.code === "INPUT_INVALID" && message.test(error.message),
    );
  });
}

test.run();
