import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { ProcessorKind } from "../../src/config/types.ts";
import type { GlimtError } from "../../src/errors.ts";
import { readFrameDirectory, readLocalFile } from "../../src/media/files.node.ts";
import { loadVideo, type VideoFrames, type VideoMetadata, type VideoSource } from "../../src/media/video.ts";
import { processVideo, type VideoOptions } from "../../src/processor/video.ts";
import { checksum, golden, processorConfig } from "./golden.ts";
import { noise } from "./noise.ts";

function noiseVideo(seed: number, count: number, height: number, width: number): VideoFrames["frames"] {
  return Array.from({ length: count }, (_, i) => ({
    data: noise(seed + 10 * i, height, width),
    width,
    height,
  }));
}

const files = { readFile: readLocalFile, readFrameDirectory };

async function run(source: VideoSource, kind: ProcessorKind, options: VideoOptions = {}) {
  return processVideo(await loadVideo(source, files), kind, processorConfig(), options);
}

for (const { kind, seed, frames, height, width, fps, sample, ...expected } of golden.videos) {
  test(`pixels of ${frames} frames at ${fps} fps equal transformers' (${kind})`, async () => {
    const metadata = fps === null ? {} : { fps, duration: frames / fps, totalNumFrames: frames };
    const video = { frames: noiseVideo(seed, frames, height, width), metadata };
    const found = await run(video, kind, { sampleFrames: sample });
    assert.equal(found.indices, expected.indices);
    assert.equal(found.gridThw, expected.gridThw);
    assert.is(checksum(found.pixelValues), expected.pixelValues);
    assert.is(found.labels.length, found.gridThw[0]);
  });
}

test("frames are sampled when their rate is known, else all are used at 24 a second", async () => {
  const frames = noiseVideo(0, 24, 30, 30);
  const sampled = await run({ frames, metadata: { fps: 12 } }, "glm4v");
  assert.equal(sampled.labels, ["0", "1", "1"]);
  const all = await run({ frames }, "glm46v");
  assert.is(all.indices.length, 24);
  assert.equal(all.labels.slice(0, 3), ["0.0 seconds", "0.1 seconds", "0.2 seconds"]);
});

test("frames that were sampled before keep their timestamps", async () => {
  const metadata = { fps: 10, totalNumFrames: 100, framesIndices: [0, 15, 30] };
  const found = await run({ frames: noiseVideo(1, 3, 30, 30), metadata }, "glm46v");
  assert.equal(found.timestamps, [0, 1.5, 3]);
  assert.equal(found.labels, ["0.0 seconds", "3.0 seconds"]);
  assert.is(found.gridThw[0], 2);
});

test("a single frame fills its temporal patch", async () => {
  const frames = noiseVideo(2, 1, 30, 30);
  const once = await run({ frames }, "glm4v");
  const twice = await run({ frames: [...frames, ...frames] }, "glm4v");
  assert.equal(once.pixelValues, twice.pixelValues);
  assert.equal(once.labels, ["0"]);
});

test("a directory of numbered frames is read in the order of its numbers, with its metadata", async () => {
  const reads: string[] = [];
  const recordReads: typeof readLocalFile = (path, reading) => {
    reads.push(String(path).slice(directory.length + 1));
    return readLocalFile(path, reading);
  };
  const directory = mkdtempSync(join(tmpdir(), "glimt-frames-"));
  try {
    const image = readFileSync(`${process.cwd()}/test/golden/data/media/rgb.png`);
    for (const number of [10, 9, 2, 1]) writeFileSync(join(directory, `frame_${number}.png`), image);
    writeFileSync(join(directory, "metadata.json"), '{"fps": 2.5, "total_num_frames": 4, "duration": 1.6}');
    const found = await run(directory, "glm4v", { sampleFrames: false });
    assert.equal(found.labels, ["0", "0"]);
    assert.equal((await run(pathToFileURL(directory), "glm4v")).indices, [0, 2, 3, 3]);
    const order = (await loadVideo(directory, { ...files, readFile: recordReads })).frame;
    for (let i = 0; i < 4; i++) await order(i);
    assert.equal(reads, ["frame_1.png", "frame_2.png", "frame_9.png", "frame_10.png"]);
    writeFileSync(join(directory, "metadata.json"), '{"fps": "fast"}');
    await rejects(() => loadVideo(directory, files), "VIDEO_INVALID", /metadata\.json: fps is "fast"/);
    writeFileSync(join(directory, "metadata.json"), "{");
    await rejects(() => loadVideo(directory, files), "VIDEO_INVALID", /metadata\.json is no valid JSON/);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("progress counts frames, and a signal stops between temporal patches", async () => {
  const seen: number[][] = [];
  const controller = new AbortController();
  const video = { frames: noiseVideo(0, 5, 30, 30) };
  const onProgress = (...counts: [number, number]) => seen.push(counts);
  await run(video, "glm4v", { onProgress });
  assert.equal(seen, [
    [2, 5],
    [4, 5],
    [5, 5],
  ]);
  const stopped = run(video, "glm4v", {
    onProgress: () => controller.abort(),
    signal: controller.signal,
  });
  await rejects(() => stopped, "ABORTED", /aborted/);
});

const two = noiseVideo(0, 2, 30, 30);
const bad: [string, VideoFrames["frames"], VideoMetadata, VideoOptions, RegExp][] = [
  ["no frames", [], {}, {}, /no frames/],
  [
    "frames of two sizes",
    [...two, ...noiseVideo(0, 2, 30, 31)],
    {},
    {},
    /Frame 2 .* 31 x 30, but frame 0 is 30 x 30/,
  ],
  ["a frame count that is wrong", two, { totalNumFrames: 3 }, {}, /totalNumFrames is 3, but 2/],
  ["indices that are too few", two, { framesIndices: [1] }, {}, /framesIndices has 1 entries, but 2/],
  ["sampling without a rate", two, {}, { sampleFrames: true }, /metadata\.fps/],
  ["sampling twice", two, { fps: 1, framesIndices: [0, 1] }, { sampleFrames: true }, /sampled already/],
  [
    "a frame past the source's last",
    two,
    { totalNumFrames: 9, framesIndices: [0, 9] },
    {},
    /names frame 9, but .* 9/,
  ],
  [
    "a duration that can not be",
    two,
    { fps: 1, duration: 60 },
    {},
    /duration is 60 s, but 2 frames .* 2\.0 s/,
  ],
  ["frames that are no list", "ab" as never, {}, {}, /frames must be a list/],
];
for (const [name, frames, metadata, options, message] of bad) {
  test(`${name} is an error`, () =>
    rejects(() => run({ frames, metadata }, "glm4v", options), "VIDEO_INVALID", message));
}

test("at most so many frames are kept, evenly spaced, with their own timestamps", async () => {
  const frames = noiseVideo(3, 24, 30, 30);
  const few = await run({ frames, metadata: { fps: 12 } }, "glm46v", { maxFrames: 4 });
  assert.equal(few.indices, [0, 8, 14, 23]);
  assert.equal(few.labels, ["0.0 seconds", "1.2 seconds"]);
  assert.is(few.gridThw[0], 2);
  const odd = await run({ frames, metadata: { fps: 12 } }, "glm46v", { maxFrames: 3 });
  assert.equal(odd.indices, [0, 12, 23, 23]);
  const unsampled = await run({ frames }, "glm4v", { maxFrames: 3 });
  assert.equal(unsampled.indices, [0, 12, 23]);
  assert.is(unsampled.gridThw[0], 2);
  const before = { fps: 10, framesIndices: [0, 10, 20, 30] };
  const again = await run({ frames: frames.slice(0, 4), metadata: before }, "glm4v", { maxFrames: 2 });
  assert.equal(
    [again.indices, again.positions],
    [
      [0, 30],
      [0, 3],
    ],
  );
  const enough = await run({ frames, metadata: { fps: 12 } }, "glm4v", { maxFrames: 100 });
  assert.equal(enough.indices, (await run({ frames, metadata: { fps: 12 } }, "glm4v")).indices);
});

test("a rate is refused where the processor has its own", async () => {
  const video = { frames: noiseVideo(0, 24, 30, 30), metadata: { fps: 12 } };
  await rejects(() => run(video, "glm46v", { fps: 2 }), "OPTION_INVALID", /Glm46V.*maxFrames/);
});

test("a directory without frames, or none at all, is an error", async () => {
  await rejects(() => loadVideo("src/tensor", files), "VIDEO_INVALID", /src\/tensor holds no/);
  await rejects(
    () => loadVideo("no/such/folder", files),
    "VIDEO_INVALID",
    /no\/such\/folder can not be read: ENOENT/,
  );
  await rejects(() => loadVideo("src/tensor"), "VIDEO_INVALID", /src\/tensor can not be read/);
});

async function rejects(run: () => Promise<unknown>, code: string, message: RegExp): Promise<void> {
  try {
    await run();
  } catch (error) {
    assert.is((error as GlimtError).code, code, (error as Error).stack ?? "");
    assert.match((error as GlimtError).message, message);
    return;
  }
  assert.unreachable("no error");
}

test.run();
