/** Video files that are cut, edited or muxed in uncommon ways, against PyAV (test/golden/record_odd_movies.py). */
import { readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { RgbImage } from "../../src/media/rgb-image.ts";
import { loadVideo } from "../../src/media/video.ts";
import { loadWebCodecs } from "../../src/media/webcodecs.node.ts";

interface Movie {
  readonly fps: number;
  readonly seconds: readonly number[];
  /** Mean colours of 2 x 2 blocks, frame by frame. */
  readonly blocks: readonly (readonly number[])[];
}

const folder = `${process.cwd()}/test/golden/data/odd-movies`;
const record: {
  movies: Record<string, Movie | { error: string }>;
  /** Of the first shares of files. */
  cut: Record<string, Record<string, { frames: number; last: readonly number[] }>>;
} = JSON.parse(readFileSync(`${folder}/odd-movies.json`, "utf8"));
const recorded = record.movies;
const bytesOf = (file: string) => new Uint8Array(readFileSync(`${folder}/${file}`));
const open = (file: string | Uint8Array) =>
  loadVideo(typeof file === "string" ? bytesOf(file) : file, { loadWebCodecs, mode: "huggingface" });

/** The record is rounded to whole levels; other FFmpeg builds may round a colour otherwise. */
const BLOCK_TOLERANCE = 1.5;

/** What can not be had, and what is said about it. */
const refused: Record<string, RegExp> = {
  "edit-of-no-length.mp4": /shows none of its frames: its edit list is empty/,
  "encrypted.mp4": /its video is encrypted, which is not read; store it again without that/,
  "mpeg4.mp4": /its codec \(mp4v\) can not be decoded here; convert it to H\.264 or VP9/,
  "mpeg2.mpegts": /its codec \(MPEG-2 video\) can not be decoded here; convert it/,
  "open-gop-cut.mpegts": /truncated or corrupt/,
  "sound-only.mpegts": /has no video track, only sound; give a file with pictures/,
};

for (const [file, expected] of Object.entries(recorded)) {
  if (refused[file]) continue;
  test(`${file}: rate, number of frames and colours equal PyAV's`, async () => {
    assert.ok("blocks" in expected, "PyAV reads it");
    const video = await open(file);
    assert.is(video.numFrames, expected.seconds.length);
    assert.ok(Math.abs(video.metadata.fps! / expected.fps - 1) < 1e-6, `${video.metadata.fps} a second`);
    for (let i = 0; i < video.numFrames; i++) checkBlocks(await video.frame(i), expected.blocks[i]!, i);
    await video.close();
  });
}

for (const [file, message] of Object.entries(refused)) {
  test(`${file} is an error that says why`, async () => {
    const error = await open(file).catch((error) => error);
    assert.is(error.code, "VIDEO_INVALID", String(error));
    assert.match(error.message, message);
  });
}

test("frames of an edited file may be asked for in any order", async () => {
  for (const file of [
    "edits-back.mp4",
    "open-gop.mp4",
    "open-gop.mpegts",
    "no-key-table.mp4",
    "hevc-open-gop.mkv",
  ]) {
    const { blocks } = recorded[file] as Movie;
    const video = await open(file);
    for (const i of [blocks.length - 1, 0, 6, 5, 5, 7, 1]) checkBlocks(await video.frame(i), blocks[i]!, i);
    await video.close();
  }
});

for (const [file, counts] of Object.entries(record.cut)) {
  test(`${file}, cut off: as many frames as PyAV finds`, async () => {
    const bytes = bytesOf(file);
    for (const [share, { frames, last }] of Object.entries(counts)) {
      const video = await open(bytes.subarray(0, Math.floor(bytes.length * Number(share))));
      assert.is(video.numFrames, frames, share);
      for (let i = 0; i < frames - 1; i++) await video.frame(i);
      const shown = await video.frame(frames - 1);
      // A stream ends within its last frame, and what a decoder makes of that is its own.
      if (!file.endsWith("mpegts")) checkBlocks(shown, last, frames - 1);
      await video.close();
    }
  });
}

test("an MP4 that was cut off gives the frames that are there", async () => {
  const bytes = bytesOf("fragments.mp4");
  const video = await open(bytes.subarray(0, Math.floor(bytes.length * 0.8)));
  const { blocks } = recorded["fragments.mp4"] as Movie;
  for (let i = 0; i < 9; i++) checkBlocks(await video.frame(i), blocks[i]!, i);
  const error = await video.frame(video.numFrames - 1).catch((error) => error);
  assert.is(error.code, "VIDEO_INVALID", String(error));
  assert.match(error.message, /it ends before a frame that it lists/);
  await video.close();
});

test("streams put one behind the other are shown one after another, though their times begin anew", async () => {
  const { blocks, fps } = recorded["copied.mpegts"] as Movie;
  const bytes = bytesOf("copied.mpegts");
  const video = await open(Uint8Array.of(...bytes, ...bytes));
  assert.is(video.numFrames, 2 * blocks.length);
  assert.ok(Math.abs(video.metadata.fps! / fps - 1) < 1e-6, `${video.metadata.fps} a second`);
  for (const i of [0, 19, 20, 39, 21, 5]) checkBlocks(await video.frame(i), blocks[i % blocks.length]!, i);
  await video.close();
});

const text = (content: string) => new TextEncoder().encode(content);
const bytes = (...values: number[]) => Uint8Array.of(...values, ...new Array(64).fill(0));
const others: [name: string, file: Uint8Array, message: RegExp][] = [
  ["AVI", text("RIFF1234AVI LIST"), /format AVI; give an MP4.*ffmpeg -i FILE out\.mp4/],
  ["FLV", text("FLV\x01\x05"), /Flash Video \(FLV\); give an MP4/],
  ["an MPEG program stream", bytes(0, 0, 1, 0xba, 0x44), /MPEG program stream \(MPG, VOB\); give an MP4/],
  ["bare MPEG video", bytes(0, 0, 1, 0xb3), /MPEG video without a container; give an MP4/],
  ["WMV", bytes(0x30, 0x26, 0xb2, 0x75, 0x8e, 0x66, 0xcf, 0x11), /Windows Media \(ASF, WMV\); give an MP4/],
  ["Ogg", text("OggS"), /format Ogg; give an MP4/],
  ["RealMedia", text(".RMF"), /format RealMedia; give an MP4/],
  ["MXF", bytes(6, 0x0e, 0x2b, 0x34, 2, 5, 1, 1), /format MXF; give an MP4/],
  ["IVF", text("DKIF\0\0"), /format IVF; give an MP4/],
  ["Y4M", text("YUV4MPEG2 W64"), /format Y4M; give an MP4/],
  ["bare H.264", bytes(0, 0, 0, 1, 0x67, 0x64), /H\.264 without a container; give an MP4/],
  ["bare H.264 after a short start code", bytes(0, 0, 1, 9, 0xf0), /H\.264 without a container; give an MP4/],
  ["bare HEVC", bytes(0, 0, 0, 1, 0x40, 1), /HEVC without a container; give an MP4/],
  ["an HLS playlist", text("#EXTM3U\n#EXT-X-VERSION:3"), /HLS playlist; it only says where a video is/],
  [
    "a DASH manifest",
    text('<?xml version="1.0"?>\n<MPD xmlns="x">'),
    /DASH manifest; it only says where a video is/,
  ],
  ["MP3", text("ID3\x04"), /format MP3; it has no pictures: give an MP4/],
  ["WAV", text("RIFF1234WAVEfmt "), /format WAV; it has no pictures/],
  ["a fragment without its beginning", fragment(), /segment of a stream without its beginning/],
];
for (const [name, file, message] of others) {
  test(`${name} is refused by name`, async () => {
    const error = await open(file).catch((error) => error);
    assert.is(error.code, "VIDEO_INVALID", String(error));
    assert.match(error.message, message);
  });
}

/** From the first `moof` on. */
function fragment(): Uint8Array {
  const file = bytesOf("fragments.mp4");
  const at = Buffer.from(file).indexOf("moof") - 4;
  return file.subarray(at);
}

function checkBlocks({ data, width, height }: RgbImage, expected: readonly number[], index: number): void {
  const sums = new Float64Array(expected.length);
  for (let i = 0; i < data.length; i++) {
    const pixel = Math.floor(i / 3);
    const row = Math.floor(Math.floor(pixel / width) / (height / 2));
    const column = Math.floor((pixel % width) / (width / 2));
    sums[(row * 2 + column) * 3 + (i % 3)]! += data[i]!;
  }
  expected.forEach((mean, i) => {
    const found = sums[i]! / ((width * height) / 4);
    assert.ok(Math.abs(found - mean) <= BLOCK_TOLERANCE, `frame ${index}, value ${i}: ${found}, not ${mean}`);
  });
}

test.run();
