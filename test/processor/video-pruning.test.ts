/** Which tokens of a video are kept: vLLM's numbers, torch's masks (test/golden/make_evs.py), and ties. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  differences,
  FIRST_FRAME,
  mostDifferent,
  retainedTokens,
} from "../../src/processor/video-pruning.ts";
import { goldenDataDir } from "../golden/load.ts";
import { fc } from "../property.ts";

for (const [tokensPerFrame, frames, rate, expected] of [
  [10, 100, 0.9, 99],
  [100, 10, 0.7, 300],
  [484, 24, 0.75, 2904],
  [484, 3, 0.9, 484],
  [256, 8, 0.5, 1024],
  [7, 1, 0.99, 7],
  [7, 5, 0, 35],
] as const) {
  test(`${frames} frames of ${tokensPerFrame} tokens at ${rate} leave ${expected}`, () => {
    assert.is(retainedTokens(tokensPerFrame, frames, rate), expected);
  });
}

interface PrunedVideo {
  readonly checkpoint: string;
  readonly videoPruning: number;
  readonly videoGridThw: [number, number, number][];
  readonly kept: string[];
  /** base64 of f32 [t * h * w, hidden], of the first video. */
  readonly features: string | null;
}

function maskOf(features: Float32Array, frames: number, tokensPerFrame: number, rate: number): string {
  const width = features.length / frames / tokensPerFrame;
  const size = tokensPerFrame * width;
  const found = differences(features.subarray(0, -size), features.subarray(size), width);
  const all = Float32Array.from([...new Float32Array(tokensPerFrame).fill(FIRST_FRAME), ...found]);
  return mostDifferent(all, retainedTokens(tokensPerFrame, frames, rate)).join("");
}

const goldens: PrunedVideo[] = JSON.parse(readFileSync(join(goldenDataDir, "evs.json"), "utf8"));
for (const { checkpoint, videoPruning, videoGridThw, kept, features } of goldens) {
  if (features === null) continue;
  test(`${checkpoint}: of torch's features the tokens that torch keeps`, () => {
    const [[frames, height, width]] = videoGridThw as [[number, number, number]];
    const values = new Float32Array(Uint8Array.from(Buffer.from(features, "base64")).buffer);
    assert.is(maskOf(values, frames, (height * width) / 4, videoPruning), kept[0]);
  });
}

test("what stands still is a tie, and of equal ones the first are kept", () => {
  const frame = Float32Array.from({ length: 4 * 9 }, (_, index) => Math.sin(index * 12.9898) * 1e3);
  const still = Float32Array.from([...frame, ...frame, ...frame]);
  assert.equal([...differences(frame, frame, 9)], [0, 0, 0, 0]);
  assert.is(maskOf(still, 3, 4, 0.5), "111111000000");
  // One place moves in the last frame: it is first among them.
  still[8 * 9 + 2 * 9] = -1e4;
  assert.is(maskOf(still, 3, 4, 0.5), "111110000010");
});

test("features without a length are like no other, and opposite ones are the least alike", () => {
  const zeros = new Float32Array(4);
  const [ones, opposite] = [zeros.map(() => 1), zeros.map(() => -1)];
  assert.equal([...differences(zeros, zeros, 4)], [1]);
  assert.equal([...differences(zeros, ones, 4)], [1]);
  assert.equal([...differences(ones, opposite, 4)], [2]);
  // Shorter than torch's eps: the cosine is computed with the eps in place of the length.
  const short = zeros.map(() => 1e-9);
  assert.ok(Math.abs((differences(short, short, 4)[0] as number) - 0.96) < 1e-6);
});

test("features that are no numbers are like no other: they are kept before all, as torch sorts them", () => {
  const frame = Float32Array.from({ length: 4 * 3 }, (_, index) => Math.sin(index * 12.9898));
  const broken = Float32Array.from(frame);
  broken[3] = Number.NaN;
  broken[9] = Number.POSITIVE_INFINITY;
  assert.equal([...differences(frame, broken, 3)], [0, Infinity, 0, Infinity]);
  assert.is(maskOf(Float32Array.from([...frame, ...broken]), 2, 4, 0.5), "11000101");
  const all = frame.map(() => Number.NaN);
  assert.is(maskOf(Float32Array.from([...frame, ...all, ...all]), 3, 4, 0.5), "000011111100");
});

test("it is what a stable descending sort keeps, and a higher rate keeps a part of it", () => {
  const drawn = fc.array(fc.constantFrom(0, 0.25, 0.5, 1, 2, FIRST_FRAME), { minLength: 1, maxLength: 60 });
  fc.assert(
    fc.property(drawn, fc.nat(59), (values, index) => {
      const count = 1 + (index % values.length);
      const order = [...values.keys()].sort((a, b) => (values[b] as number) - (values[a] as number) || a - b);
      const expected = values.map((_, token) => (order.indexOf(token) < count ? 1 : 0));
      assert.equal([...mostDifferent(Float32Array.from(values), count)], expected);
      const fewer = mostDifferent(Float32Array.from(values), Math.max(1, count - 1));
      assert.ok(fewer.every((flag, token) => flag <= (expected[token] as number)));
    }),
  );
});

test.run();
