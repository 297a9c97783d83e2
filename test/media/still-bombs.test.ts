/** Small files that claim to be large are refused before memory is taken or time is lost. */
import { readFileSync } from "node:fs";
import { deflateSync } from "node:zlib";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { decodeStill } from "../../src/media/decode-still.ts";
import { pngChunk } from "../../src/media/png-chunks.ts";
import { openVideoFile } from "../../src/media/video-file.ts";

const SIDE = 9000;
const MOST_SECONDS = 20;
const MOST_BYTES = 50e6;

function still(format: string, name: string): Uint8Array {
  const { files } = JSON.parse(
    readFileSync(`${process.cwd()}/test/golden/data/stills/${format}.json`, "utf8"),
  );
  const { file } = files.find((file: { name: string }) => file.name === name);
  return new Uint8Array(Buffer.from(file, "base64"));
}

/** A TIFF file with a few tags changed; their values must fit into the entry. */
function tiff(name: string, tags: Record<number, number>): Uint8Array {
  const bytes = still("tiff", name);
  const view = new DataView(bytes.buffer);
  const directory = view.getUint32(4, true);
  for (let i = 0; i < view.getUint16(directory, true); i++) {
    const entry = directory + 2 + 12 * i;
    const value = tags[view.getUint16(entry, true)];
    if (value === undefined) continue;
    view.setUint16(entry + 2, 4, true);
    view.setUint32(entry + 8, value, true);
  }
  return bytes;
}

function png(data: Uint8Array): Uint8Array {
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, SIDE);
  view.setUint32(4, SIDE);
  header.set([8, 2], 8);
  const start = still("png", "no end").subarray(0, 8);
  return Buffer.concat([start, pngChunk("IHDR", header), pngChunk("IDAT", data)]);
}

function bmp(name: string): Uint8Array {
  const bytes = still("bmp", name);
  new DataView(bytes.buffer).setUint32(18, SIDE, true);
  new DataView(bytes.buffer).setUint32(22, SIDE, true);
  return bytes;
}

/** Strips that are all the same bytes, which say nothing for long. */
function overlappingStrips(): Uint8Array {
  const strips = 4000;
  const empty = 500_000;
  const entries: [tag: number, count: number, value: number][] = [
    [256, 1, 8],
    [257, 1, strips],
    [258, 1, 8],
    [259, 1, 32773],
    [262, 1, 1],
    [273, strips, 8 + empty],
    [277, 1, 1],
    [278, 1, 1],
    [279, strips, 8 + empty + 4 * strips],
  ];
  const directory = 8 + empty + 8 * strips;
  const bytes = new Uint8Array(directory + 2 + 12 * entries.length + 4);
  const view = new DataView(bytes.buffer);
  bytes.set([0x49, 0x49, 42, 0]);
  view.setUint32(4, directory, true);
  bytes.fill(128, 8, 8 + empty - 2);
  bytes.set([256 - 7, 5], 8 + empty - 2);
  for (let i = 0; i < strips; i++) {
    view.setUint32(8 + empty + 4 * i, 8, true);
    view.setUint32(8 + empty + 4 * strips + 4 * i, empty, true);
  }
  view.setUint16(directory, entries.length, true);
  entries.forEach(([tag, count, value], i) => {
    const entry = directory + 2 + 12 * i;
    view.setUint16(entry, tag, true);
    view.setUint16(entry + 2, 4, true);
    view.setUint32(entry + 4, count, true);
    view.setUint32(entry + 8, value, true);
  });
  return bytes;
}

/** A hundred thousand and more of what is small. */
function repeated(start: Uint8Array, part: Uint8Array, times: number): Uint8Array {
  const bytes = new Uint8Array(start.length + part.length * times);
  bytes.set(start);
  for (let i = 0; i < times; i++) bytes.set(part, start.length + part.length * i);
  return bytes;
}

const gif = still("gif", "gif87a");
const frame = Uint8Array.of(0x2c, 0, 0, 0, 0, 1, 0, 1, 0, 0, 2, 0);

const large = { 256: SIDE, 257: SIDE, 278: SIDE };
const bombs: readonly [name: string, bytes: Uint8Array][] = [
  ["a PNG of a row", png(deflateSync(new Uint8Array(3 * SIDE)))],
  ["a PNG whose data never ends", png(Uint8Array.of(0x78, 0x9c, 0, 0, 0, 0xff, 0xff))],
  ["a plain TIFF", tiff("rgb, 8 bits, little-endian", large)],
  ["an LZW TIFF", tiff("LZW, strips of 100", large)],
  ["a PackBits TIFF", tiff("packbits, strips of 100", large)],
  ["a Deflate TIFF", tiff("deflate, strips of 100", large)],
  ["a fax TIFF", tiff("white, group4", large)],
  ["a JPEG TIFF", tiff("Pillow's JPEG", large)],
  ["a TIFF of huge tiles", tiff("LZW, tiles", { 322: 60_000, 323: 60_000 })],
  ["a TIFF of small tiles", tiff("LZW, tiles", { 256: SIDE, 257: SIDE, 322: 1, 323: 1 })],
  ["a TIFF of strips that lie on one another", overlappingStrips()],
  [
    "a PNG of many chunks",
    repeated(still("png", "no end").subarray(0, 33), pngChunk("abCd", new Uint8Array(0)), 600_000),
  ],
  ["a BMP", bmp("24 bits")],
  ["a BMP with a palette", bmp("8 bits")],
];

for (const [name, bytes] of bombs) {
  test(`${name}: refused in time and in little memory`, async () => {
    const before = process.memoryUsage().arrayBuffers;
    const start = performance.now();
    const options = { mode: "default", maxDecodedPixels: undefined } as const;
    const error = await decodeStill(bytes, "bomb", options).catch((error) => error);
    assert.is(error.code, "IMAGE_INVALID", error.message);
    assert.ok(performance.now() - start < MOST_SECONDS * 1000, `${performance.now() - start} ms`);
    const taken = process.memoryUsage().arrayBuffers - before;
    assert.ok(taken < MOST_BYTES, `${taken} bytes`);
  });
}

test("a GIF of many frames is refused as a video", async () => {
  const bytes = repeated(gif.subarray(0, 13 + 48), frame, 100_000);
  const error = await openVideoFile(bytes, "bomb", { mode: "default", maxDecodedPixels: undefined }).catch(
    (error) => error,
  );
  assert.is(error.code, "VIDEO_INVALID");
  assert.match(error.message, /more than 65536 frames/);
});

test("an animation of many large frames is refused by their headers, unless its pixels are allowed", async () => {
  const large = frame.slice();
  new DataView(large.buffer).setUint16(5, 10_000, true);
  new DataView(large.buffer).setUint16(7, 10_000, true);
  const bytes = repeated(gif.subarray(0, 13 + 48), large, 101);
  const open = (maxDecodedPixels?: number) => openVideoFile(bytes, "bomb.gif", { maxDecodedPixels });
  const error = await open().catch((error) => error);
  assert.is(error.code, "IMAGE_TOO_LARGE");
  assert.match(
    error.message,
    /bomb\.gif has 101 frames of 10100000000 pixels .* maxDecodedPixels to 101000000 /,
  );
  const { animation } = await open(101_000_000);
  assert.is(animation?.numFrames, 101);
});

test("fax data that ends early is refused, where Pillow shows what lay in its memory", async () => {
  for (const [name, length] of [
    ["group 4, white is 0", 90],
    ["drawing, group3", 200],
  ] as const) {
    const options = { mode: "default", maxDecodedPixels: undefined } as const;
    const error = await decodeStill(tiff(name, { 279: length }), "cut", options).catch((error) => error);
    assert.is(error.code, "IMAGE_INVALID", name);
  }
});

test("texts of a PNG are not all decompressed", async () => {
  const bomb = pngChunk(
    "zTXt",
    Buffer.concat([Buffer.from("Raw profile type exif\0\0"), deflateSync(Buffer.alloc(1_000_000))]),
  );
  const file = still("png", "no end");
  const bytes = Buffer.concat([file.subarray(0, 33), ...new Array(1000).fill(bomb), file.subarray(33)]);
  const start = performance.now();
  const { width } = await decodeStill(bytes, "bomb", { mode: "default", maxDecodedPixels: undefined });
  assert.is(width, 11);
  assert.ok(performance.now() - start < MOST_SECONDS * 1000, `${performance.now() - start} ms`);
});

test.run();
