import { test } from "uvu";
import * as assert from "uvu/assert";
import type { GlimtError } from "../../src/errors.ts";
import { imageSize, videoSize } from "../../src/processor/sizes.ts";
import { roundHalfToEven, type SmartResizeOptions, smartResize } from "../../src/processor/smart-resize.ts";
import { golden, processorConfig } from "./golden.ts";

test(`${golden.smart_resizes.length} sizes equal transformers'`, () => {
  for (const row of golden.smart_resizes) {
    const [numFrames, height, width, temporalFactor, factor, minPixels, maxPixels, expected] = row;
    const resize = () =>
      smartResize({ numFrames, height, width, temporalFactor, factor, minPixels, maxPixels });
    if (expected) assert.equal(resize(), expected, row.join(" "));
    else assert.throws(resize, (error: GlimtError) => error.code === "IMAGE_INVALID", row.join(" "));
  }
});

const bad: [string, Partial<SmartResizeOptions>, string, RegExp][] = [
  ["a side of 0", { height: 0 }, "IMAGE_INVALID", /28 x 0/],
  ["a fractional side", { width: 2.5 }, "IMAGE_INVALID", /2\.5 x 28/],
  ["an aspect ratio over 200", { width: 6000 }, "IMAGE_INVALID", /aspect ratio of 214\.3/],
  ["too few frames", { numFrames: 1 }, "VIDEO_INVALID", /1 frames/],
  ["a count of frames that is none", { numFrames: Number.NaN }, "INPUT_INVALID", /numFrames is NaN/],
  ["a factor of 0", { factor: 0 }, "INPUT_INVALID", /factor is 0/],
  ["a negative temporal factor", { temporalFactor: -1 }, "INPUT_INVALID", /temporalFactor is -1/],
  ["a limit of no pixels", { maxPixels: 0 }, "INPUT_INVALID", /maxPixels is 0/],
  ["a limit that is no number", { minPixels: Number.NaN }, "INPUT_INVALID", /minPixels is NaN/],
];
for (const [name, change, code, message] of bad) {
  test(`${name} is an error`, () => {
    const options = { numFrames: 2, height: 28, width: 28, temporalFactor: 2, factor: 28 };
    assert.throws(
      () => smartResize({ ...options, minPixels: 12544, maxPixels: 1e6, ...change }),
      (error: GlimtError) => error.code === code && message.test(error.message),
    );
  });
}

test("halves round to even", () => {
  assert.equal([0.5, 1.5, 2.5, 2.4, 2.6, 4].map(roundHalfToEven), [0, 2, 2, 2, 3, 4]);
});

test("an image's tokens are counted without pixels", () => {
  assert.equal(imageSize(1, 1, processorConfig()), {
    resizedWidth: 84,
    resizedHeight: 84,
    gridThw: [1, 6, 6],
    numPatches: 36,
    numTokens: 9,
  });
});

test("an odd video counts a full last pair, a single frame counts as a pair", () => {
  assert.equal(videoSize(5, 100, 100, processorConfig()).gridThw[0], 3);
  assert.equal(videoSize(1, 100, 100, processorConfig()).gridThw[0], 1);
});

test.run();
