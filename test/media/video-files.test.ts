/** Video files and animations against what PyAV and Pillow read from them (test/golden/record_movies.py). */
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { pathToFileURL } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { GlimtError } from "../../src/errors.ts";
import { readFrameDirectory, readLocalFile } from "../../src/media/files.node.ts";
import type { RgbImage } from "../../src/media/rgb-image.ts";
import { loadVideo, type VideoOptions, type VideoSource } from "../../src/media/video.ts";
import { loadWebCodecs } from "../../src/media/webcodecs.node.ts";
import { crc32 } from "../golden/crc32.ts";

interface Movie {
  readonly fps: number;
  readonly width: number;
  readonly height: number;
  readonly seconds: readonly number[];
  /** Mean colours of 3 x 4 blocks, frame by frame. */
  readonly blocks: readonly (readonly number[])[];
}

interface Still {
  readonly width: number;
  readonly height: number;
  readonly seconds: readonly number[];
  /** Checksums of the frames on white. */
  readonly rgb: readonly number[];
}

const folder = `${process.cwd()}/test/golden/data/movies`;
const recorded: { movies: Record<string, Movie>; animations: Record<string, Still> } = JSON.parse(
  readFileSync(`${folder}/movies.json`, "utf8"),
);
const platform = { readFile: readLocalFile, readFrameDirectory, loadWebCodecs };
const bytesOf = (file: string) => new Uint8Array(readFileSync(`${folder}/${file}`));

/** Other FFmpeg builds may round a colour otherwise; a wrong frame is off by ten and more. */
const BLOCK_TOLERANCE = 1;

test("where nothing decodes movies the error says what to give; animations need nothing", async () => {
  assert.is(typeof VideoDecoder, "undefined", "Node has no WebCodecs of its own: run this first");
  const error = await loadVideo(bytesOf("vp9.webm")).catch((error) => error);
  assert.is(error.code, "CODEC_UNAVAILABLE", error.message);
  assert.match(error.message, /frames: \[/);
  assert.is((await loadVideo(bytesOf("patches.gif"))).numFrames, 7);
});

for (const [file, expected] of Object.entries(recorded.movies)) {
  test(`${file}: rate, times and frames equal PyAV's`, async () => {
    const video = await loadVideo(`${folder}/${file}`, { ...platform, mode: "huggingface" });
    const count = expected.seconds.length;
    assert.is(video.numFrames, count);
    const off = Math.abs(video.metadata.fps! / expected.fps - 1);
    assert.ok(off < 1e-6, `${video.metadata.fps} a second, not ${expected.fps}`);
    assert.is(video.metadata.totalNumFrames, count);
    assert.is(video.metadata.duration, count / video.metadata.fps!);
    for (let i = 0; i < count; i++) checkBlocks(await video.frame(i), expected.blocks[i]!, i);
    await video.close();
  });
}

test("frames may be asked for in any order", async () => {
  const { blocks } = recorded.movies["h264.mp4"]!;
  const video = await loadVideo(bytesOf("h264.mp4"), platform);
  for (const index of [35, 0, 13, 13, 14, 11, 24, 30, 2]) {
    checkBlocks(await video.frame(index), blocks[index]!, index);
  }
  await video.close();
});

test("a turned video is shown upright, or as stored for Hugging Face", async () => {
  const sizes = await Promise.all(
    (["default", "huggingface"] as const).map(async (mode) => {
      const video = await loadVideo(bytesOf("turned.mp4"), { ...platform, mode });
      const { width, height } = await video.frame(0);
      await video.close();
      return [width, height];
    }),
  );
  assert.equal(sizes, [
    [96, 128],
    [128, 96],
  ]);
});

for (const [file, expected] of Object.entries(recorded.animations)) {
  test(`${file}: frames equal Pillow's`, async () => {
    const video = await loadVideo(bytesOf(file));
    assert.is(video.numFrames, expected.rgb.length);
    const shown = expected.seconds.map((seconds) => (seconds <= 0.01 ? 0.1 : seconds));
    const total = shown.reduce((sum, seconds) => sum + seconds, 0);
    assert.ok(Math.abs(video.metadata.duration! - total) < 1e-9, `${video.metadata.duration} s`);
    assert.ok(Math.abs(video.metadata.fps! - video.numFrames / total) < 1e-9);
    const order = [...expected.rgb.keys(), ...[...expected.rgb.keys()].reverse()];
    for (const index of order) {
      const { data, width, height } = await video.frame(index);
      assert.equal([width, height], [expected.width, expected.height]);
      assert.is(crc32(data), expected.rgb[index], `frame ${index}`);
    }
  });
}

test("every kind of source opens the same video", async () => {
  for (const file of ["vp9.webm", "patches.gif"]) {
    const bytes = bytesOf(file);
    const server = createServer((_, response) => response.end(bytes)).listen(0);
    const path = `${folder}/${file}`;
    const sources: VideoSource[] = [
      path,
      pathToFileURL(path),
      pathToFileURL(path).href,
      `http://127.0.0.1:${(server.address() as AddressInfo).port}/${file}`,
      bytes.slice().buffer,
      Buffer.from(bytes),
      new Blob([bytes]),
      new File([bytes], file),
    ];
    try {
      const expected = await lastFrame(bytes);
      for (const source of sources) assert.equal(await lastFrame(source), expected, String(source));
    } finally {
      server.closeAllConnections();
      server.close();
    }
  }
});

test("metadata beside a file wins field by field", async () => {
  const own = (await loadVideo(bytesOf("cleared.gif"))).metadata;
  const { metadata } = await loadVideo(bytesOf("cleared.gif"), { metadata: { fps: 3 } });
  assert.equal({ ...metadata }, { ...own, fps: 3, duration: undefined });
});

const cut = (file: string, share: number) => {
  const bytes = bytesOf(file);
  return bytes.subarray(0, Math.floor(bytes.length * share));
};
const picture = new Uint8Array(readFileSync(`${process.cwd()}/test/golden/data/media/rgb.png`));
const text = (content: string) => new TextEncoder().encode(content);

const bad: [name: string, source: unknown, message: RegExp, options?: VideoOptions, code?: string][] = [
  ["no bytes", new Uint8Array(0), /0 bytes/],
  ["text", text("hello, world"), /no known format; give an MP4/],
  ["an AVI file", text("RIFF1234AVI LIST"), /format AVI; give an MP4/],
  ["a still PNG", picture, /still PNG picture; give it as an image/],
  ["a missing file", `${folder}/missing.mp4`, /missing\.mp4 can not be read: ENOENT/],
  ["a number", 7, /Video must be a path.*got number/],
  ["no video track", bytesOf("sound-only.mp4"), /no video track/],
  ["an MP4 cut in its index", cut("h264.mp4", 0.1), /no video track, or is cut short/],
  ["an MP4 whose index is gone", cut("ntsc.mp4", 0.5), /truncated or corrupt|no video track/],
  ["an MP4 cut in its frames", cut("h264.mp4", 0.6), /truncated or corrupt \(it lists frames of more bytes/],
  ["a WebM cut in its header", cut("vp9.webm", 0.02), /truncated or corrupt|no video track/],
  ["a GIF cut short", cut("patches.gif", 0.5), /truncated or corrupt GIF/],
  ["a GIF without frames", cut("patches.gif", 0.01), /truncated or corrupt GIF/],
  ["an animated WebP cut short", cut("blended.webp", 0.5), /truncated or corrupt WebP/],
  ["an animated PNG cut short", cut("patches.png", 0.5), /truncated or corrupt PNG/],
  ["too many pixels", bytesOf("patches.gif"), /limit is 100/, { maxDecodedPixels: 100 }, "IMAGE_TOO_LARGE"],
  [
    "too many pixels of a movie",
    bytesOf("vp9.webm"),
    /limit is 100/,
    { maxDecodedPixels: 100 },
    "IMAGE_TOO_LARGE",
  ],
  ["an aborted call", bytesOf("h264.mp4"), /aborted/, { signal: AbortSignal.abort() }, "ABORTED"],
  ["metadata that is no number", bytesOf("patches.gif"), /fps is "2"/, { metadata: { fps: "2" as never } }],
  ["a rate of zero", bytesOf("patches.gif"), /fps is 0/, { metadata: { fps: 0 } }],
  ["a negative duration", bytesOf("patches.gif"), /duration is -1/, { metadata: { duration: -1 } }],
  [
    "frames out of order",
    bytesOf("patches.gif"),
    /framesIndices .* ascending/,
    { metadata: { framesIndices: [2, 1] } },
  ],
];
for (const [name, source, message, options, code = "VIDEO_INVALID"] of bad) {
  test(`${name} is an error`, async () => {
    try {
      const video = await loadVideo(source as VideoSource, { ...platform, ...options });
      for (let i = 0; i < video.numFrames; i++) await video.frame(i);
    } catch (error) {
      assert.is((error as GlimtError).code, code, (error as Error).message);
      assert.match((error as Error).message, message, (error as Error).message);
      return;
    }
    assert.unreachable("no error");
  });
}

async function lastFrame(source: VideoSource): Promise<RgbImage> {
  const video = await loadVideo(source, platform);
  const frame = await video.frame(video.numFrames - 1);
  await video.close();
  return frame;
}

function checkBlocks({ data, width, height }: RgbImage, expected: readonly number[], index: number): void {
  const [rows, columns] = [3, 4];
  const [blockHeight, blockWidth] = [height / rows, width / columns];
  const sums = new Float64Array(rows * columns * 3);
  for (let i = 0; i < data.length; i++) {
    const pixel = Math.floor(i / 3);
    const row = Math.floor(Math.floor(pixel / width) / blockHeight);
    const column = Math.floor((pixel % width) / blockWidth);
    sums[(row * columns + column) * 3 + (i % 3)]! += data[i]!;
  }
  expected.forEach((mean, i) => {
    const found = sums[i]! / (blockHeight * blockWidth);
    assert.ok(Math.abs(found - mean) <= BLOCK_TOLERANCE, `frame ${index}, value ${i}: ${found}, not ${mean}`);
  });
}

test.run();
