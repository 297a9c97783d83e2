import { test } from "uvu";
import * as assert from "uvu/assert";
import type { GlimtError } from "../../src/errors.ts";
import { expandPlaceholders } from "../../src/processor/placeholders.ts";
import { framesAt, sampleVideoFrames, timestampLabel } from "../../src/processor/sampling.ts";
import { crc32 } from "../golden/crc32.ts";
import { checksum, golden } from "./golden.ts";

test(`${golden.samples.length} samplings and their prompt texts equal transformers'`, () => {
  for (const row of golden.samples) {
    const [kind, totalNumFrames, fps, duration, requested, count, indicesCrc, textCrc] = row;
    const found = sampleVideoFrames(kind, { totalNumFrames, fps, duration }, requested ?? undefined);
    if (count === 0) {
      assert.equal(found.indices, [0, 0], "the reference takes no frame, glimt the first");
      continue;
    }
    assert.is(checksum(Int32Array.from(found.indices)), indicesCrc, row.join(" "));
    const text = expandPlaceholders("<|video|>", {
      videos: [{ gridThw: [found.indices.length / 2, 2, 2], labels: found.labels }],
      mergeSize: 2,
    });
    assert.is(crc32(new TextEncoder().encode(text)), textCrc, `text of ${row.join(" ")}`);
  }
});

test("timestamps are seconds of the sampled frames, labels belong to pairs", () => {
  assert.equal(sampleVideoFrames("glm4v", { totalNumFrames: 30, fps: 10, duration: 3 }), {
    indices: [0, 5, 10, 15, 20, 25],
    timestamps: [0, 0.5, 1, 1.5, 2, 2.5],
    labels: ["0", "1", "2"],
  });
});

test("a rate takes no longer the higher it is", () => {
  const everySample = (frames: number, fps: number, duration: number, rate: number) => {
    const samples = Array.from({ length: Math.max(Math.floor(duration * rate), 1) }, (_, i) => i);
    return [...new Set(samples.map((i) => Math.min(frames - 1, Math.ceil((i * fps) / rate))))];
  };
  for (const frames of [1, 2, 7, 100]) {
    for (const fps of [0.3, 2, 23.976, 30]) {
      for (const rate of [0.5, 2, 23.976, 29.97, 30, 31, 100, 1000]) {
        for (const duration of [0.2, 1, frames / fps, 50]) {
          const { indices } = sampleVideoFrames("glm4v", { totalNumFrames: frames, fps, duration }, rate);
          const expected = everySample(frames, fps, duration, rate);
          assert.equal([...new Set(indices)], expected, `${frames}, ${fps}, ${duration} s, ${rate}`);
        }
      }
    }
  }
  for (const fps of [25, 1e12]) {
    const { indices } = sampleVideoFrames("glm4v", { totalNumFrames: 4, fps, duration: 1 }, 1e12);
    assert.equal(indices, [0, 1, 2, 3]);
  }
});

test("frames without a rate are taken to be 24 a second", () => {
  assert.equal(framesAt("glm46v", [0, 12, 24]), {
    indices: [0, 12, 24],
    timestamps: [0, 0.5, 1],
    labels: ["0.0 seconds", "1.0 seconds"],
  });
});

test("exact halves of a tenth are rounded to even, as Python formats them", () => {
  const labels = [0.25, 0.75, 0.05, 1.25, 2.5].map((seconds) => timestampLabel("glm46v", seconds));
  assert.equal(labels, ["0.2 seconds", "0.8 seconds", "0.1 seconds", "1.2 seconds", "2.5 seconds"]);
});

const bad: [string, { totalNumFrames: number; fps: number; duration?: number }, RegExp][] = [
  ["no frames", { totalNumFrames: 0, fps: 24 }, /0 frames/],
  ["no rate", { totalNumFrames: 4, fps: Number.NaN }, /metadata\.fps/],
  ["a negative duration", { totalNumFrames: 4, fps: 24, duration: -1 }, /duration is -1/],
];
for (const [name, timing, message] of bad) {
  test(`${name} is an error`, () => {
    assert.throws(
      () => sampleVideoFrames("glm4v", timing),
      (error: GlimtError) => error.code === "VIDEO_INVALID" && message.test(error.message),
    );
  });
}

test("another processor and an impossible rate are errors, not another choice of frames", () => {
  const timing = { totalNumFrames: 10, fps: 2 };
  for (const [kind, fps, message] of [
    ["glm5v", undefined, /kind is "glm5v"/],
    ["glm4v", 0, /requestedFps is 0/],
    ["glm4v", Number.NaN, /requestedFps is NaN/],
    ["glm46v", -1, /requestedFps is -1/],
  ] as const) {
    assert.throws(
      () => sampleVideoFrames(kind as "glm4v", timing, fps),
      (error: GlimtError) => error.code === "OPTION_INVALID" && message.test(error.message),
    );
  }
});

test.run();
