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

test("a video of years is sampled at once, and as one of minutes is", () => {
  const start = performance.now();
  // As the reference does it: frame by frame.
  const byFrames = (frames: number, fps: number, duration: number) => {
    const rate = duration <= 30 ? 3 : duration <= 300 ? 1 : 0.5;
    const count = Math.min(Math.trunc(Math.min(duration, 2400) * rate * 2), 640);
    const last = frames - 1;
    const spaced = (from: number, to: number) => {
      const step = (to - from) / (count - 1);
      return Array.from({ length: count }, (_, i) =>
        Math.floor(i === 0 ? from : i === count - 1 ? to : i * step + from),
      );
    };
    if (frames < count) return spaced(0, last);
    const found: number[] = [];
    let next = 0;
    for (let frame = 0; frame < frames; frame++) {
      if (frame * (1 / fps) < next) continue;
      next += 1 / (2 * rate);
      found.push(frame);
      if (next >= Math.trunc(duration)) break;
    }
    if (found.length < count) return spaced(found[0] as number, found.at(-1) as number);
    return found.length > count ? spaced(0, last) : found;
  };
  for (const fps of [0.3, 1, 2, 6, 10, 23.976, 24, 29.97, 30, 59.94, 120]) {
    for (const duration of [0.5, 1, 3.4, 29.9, 30, 31, 100.01, 299, 300, 301, 600, 639.5, 641, 2400, 2600]) {
      const totalNumFrames = Math.max(1, Math.round(fps * duration));
      const { indices } = sampleVideoFrames("glm46v", { totalNumFrames, fps, duration });
      const expected = [...new Set(byFrames(totalNumFrames, fps, duration))];
      assert.equal([...new Set(indices)], expected, `${fps} a second, ${duration} s`);
    }
  }
  for (const kind of ["glm4v", "glm46v"] as const) {
    const timing = { totalNumFrames: 30 * 99_999_999, fps: 30, duration: 99_999_999 };
    const { indices } = sampleVideoFrames(kind, timing);
    assert.is(indices.length, kind === "glm4v" ? 600 : 640);
    assert.is(indices.at(-1), timing.totalNumFrames - 1);
  }
  assert.ok(performance.now() - start < 5000, "it looks at each frame");
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
