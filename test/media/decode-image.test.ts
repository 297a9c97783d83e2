import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { pathToFileURL } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { GlimtError } from "../../src/errors.ts";
import { decodeImage, type MediaMode, type MediaOptions } from "../../src/media/decode-image.ts";
import { readLocalFile } from "../../src/media/files.node.ts";
import type { ImageSource } from "../../src/media/source.ts";
import { crc32 } from "../golden/crc32.ts";

const folder = `${process.cwd()}/test/golden/data/media`;
type Expected = Record<MediaMode, { width: number; height: number; rgb: number }>;
const { files }: { files: Record<string, Expected> } = JSON.parse(
  readFileSync(`${folder}/media.json`, "utf8"),
);

const bytesOf = (file: string) => new Uint8Array(readFileSync(`${folder}/${file}`));

for (const [file, expected] of Object.entries(files)) {
  for (const mode of ["huggingface", "default"] as const) {
    test(`${file} in mode ${mode} equals Pillow's bytes`, async () => {
      const image = await decodeImage(bytesOf(file), { mode });
      assert.equal({ width: image.width, height: image.height, rgb: crc32(image.data) }, expected[mode]);
    });
  }
}

const movies: { animations: Record<string, { first: number; rgb: number[] }> } = JSON.parse(
  readFileSync(`${folder}/../movies/movies.json`, "utf8"),
);
const movie = (file: string) => new Uint8Array(readFileSync(`${folder}/../movies/${file}`));
const moviesHalf = (file: string) => movie(file).subarray(0, movie(file).length / 2);

for (const [file, { first, rgb }] of Object.entries(movies.animations)) {
  test(`of the animation ${file} the first frame is taken, as Pillow has it`, async () => {
    const bytes = movie(file);
    assert.is(crc32((await decodeImage(bytes, { mode: "huggingface" })).data), first);
    assert.is(crc32((await decodeImage(bytes)).data), rgb[0]);
  });
}

test("every kind of source gives the same pixels", async () => {
  const bytes = bytesOf("420.jpg");
  const server = createServer((_, response) => response.end(bytes)).listen(0);
  const { port } = server.address() as AddressInfo;
  const path = `${folder}/420.jpg`;
  const sources: ImageSource[] = [
    path,
    pathToFileURL(path),
    pathToFileURL(path).href,
    `http://127.0.0.1:${port}/420.jpg`,
    bytes.slice().buffer,
    Buffer.from(bytes),
    new Blob([bytes]),
    `data:image/jpeg;base64,${Buffer.from(bytes).toString("base64")}`,
  ];
  try {
    const expected = await decodeImage(bytes);
    for (const source of sources) {
      assert.equal(
        await decodeImage(source, { readFile: readLocalFile }),
        expected,
        String(source).slice(0, 40),
      );
    }
  } finally {
    server.closeAllConnections();
    server.close();
  }
});

test("raw RGB passes through, raw RGBA follows the alpha rule of its mode", async () => {
  const rgb = { data: Uint8Array.of(1, 2, 3, 4, 5, 6), width: 2, height: 1 };
  assert.equal((await decodeImage(rgb)).data, rgb.data);
  const rgba = {
    data: Uint8ClampedArray.of(10, 20, 30, 0, 10, 20, 30, 128),
    width: 1,
    height: 2,
    channels: 4,
  } as const;
  assert.equal(
    (await decodeImage(rgba, { mode: "huggingface" })).data,
    Uint8Array.of(10, 20, 30, 10, 20, 30),
  );
  assert.equal((await decodeImage(rgba)).data, Uint8Array.of(255, 255, 255, 132, 137, 142));
  assert.is(rgba.data[0], 10, "the caller's pixels are left alone");
});

test("the caller's encoded bytes are left alone", async () => {
  const bytes = bytesOf("rgba.png");
  const before = bytes.slice();
  await decodeImage(bytes);
  assert.equal(bytes, before);
});

/** A PNG header that claims a size, without any pixels behind it. */
function pngHeader(width: number, height: number): Uint8Array {
  const bytes = bytesOf("rgb.png");
  const view = new DataView(bytes.buffer);
  view.setUint32(16, width);
  view.setUint32(20, height);
  return bytes;
}

const half = (file: string) => bytesOf(file).subarray(0, Math.floor(bytesOf(file).length / 2));
const scrambled = (file: string) => {
  const bytes = bytesOf(file);
  return bytes.fill(0x55, Math.floor(bytes.length / 2), bytes.length - 16);
};
const text = (content: string) => new TextEncoder().encode(content);
/** The start of a JPEG file: a frame header of 1 x 1, three components. */
const jpegFrame = (marker: number, bits: number, components = 3) =>
  Uint8Array.of(0xff, 0xd8, 0xff, marker, 0, 17, bits, 0, 1, 0, 1, components, ...new Array(9).fill(1));

const bad: [name: string, source: unknown, code: string, message: RegExp, options?: MediaOptions][] = [
  ["0 bytes", new Uint8Array(0), "IMAGE_INVALID", /0 bytes/],
  ["text", text("hello"), "IMAGE_INVALID", /in no known format/],
  ["a BMP without a header", text("BM 89a"), "IMAGE_INVALID", /truncated BMP/],
  [
    "a BMP of 2 bits",
    text(`BM${"\0".repeat(12)}(\0\0\0${"\0".repeat(10)}\x02${"\0".repeat(40)}`),
    "IMAGE_INVALID",
    /BMP.*2 bits/,
  ],
  ["a GIF without a header", text("GIF89a"), "IMAGE_INVALID", /truncated GIF/],
  ["half a GIF", moviesHalf("still.gif"), "IMAGE_INVALID", /GIF\) can not be decoded/],
  ["half an animated WebP", moviesHalf("blended.webp"), "IMAGE_INVALID", /truncated WebP/],
  ["a video", movie("h264.mp4"), "IMAGE_INVALID", /a video file \(MP4 or QuickTime\); give it as a video/],
  ["a WebM video", movie("vp9.webm"), "IMAGE_INVALID", /a video file \(WebM or Matroska\)/],
  [
    "a HEIC picture",
    text("\0\0\0\x18ftypheic"),
    "IMAGE_INVALID",
    /a HEIC picture \(convert it first\); give a PNG/,
  ],
  ["half a PNG", half("rgb.png"), "IMAGE_INVALID", /truncated PNG/],
  ["half a JPEG", half("420.jpg"), "IMAGE_INVALID", /truncated JPEG/],
  [
    "a JPEG cut in its data",
    bytesOf("420.jpg").subarray(0, -40),
    "IMAGE_INVALID",
    /JPEG\).*: the file is truncated/,
  ],
  ["half a WebP", half("lossy.webp"), "IMAGE_INVALID", /truncated WebP/],
  ["a scrambled PNG", scrambled("rgb16.png"), "IMAGE_INVALID", /corrupt/],
  ["a scrambled WebP", scrambled("lossless.webp"), "IMAGE_INVALID", /corrupt/],
  ["a JPEG of 12 bits", jpegFrame(0xc1, 12), "IMAGE_INVALID", /JPEG of 12-bit samples.*not supported/],
  ["a JPEG of 2 components", jpegFrame(0xc0, 8, 2), "IMAGE_INVALID", /JPEG of 2 components/],
  ["a hierarchical JPEG", jpegFrame(0xc5, 8), "IMAGE_INVALID", /JPEG of hierarchical kind/],
  ["an arithmetic lossless JPEG", jpegFrame(0xcb, 8), "IMAGE_INVALID", /lossless kind with arithmetic codes/],
  ["a PNG of no width", pngHeader(0, 5), "IMAGE_INVALID", /0 x 5/],
  ["a decompression bomb", pngHeader(60000, 60000), "IMAGE_TOO_LARGE", /60000 x 60000.*maxDecodedPixels/],
  [
    "a picture over the caller's limit",
    "/rgb.png",
    "IMAGE_TOO_LARGE",
    /851 pixels; the limit is 850/,
    { maxDecodedPixels: 850 },
  ],
  ["a missing file", "/missing.png", "IMAGE_INVALID", /missing\.png can not be read: ENOENT/],
  ["a folder", "", "IMAGE_INVALID", /can not be read: EISDIR/],
  ["a broken data URL", "data:nothing", "IMAGE_INVALID", /can not be read/],
  ["a number", 7, "IMAGE_INVALID", /got number/],
  [
    "raw pixels of another size",
    { data: new Uint8Array(5), width: 2, height: 1 },
    "IMAGE_INVALID",
    /neither 3 nor 4/,
  ],
  [
    "raw pixels that are too few",
    { data: new Uint8Array(5), width: 2, height: 1, channels: 3 },
    "IMAGE_INVALID",
    /6 bytes, but 5/,
  ],
  ["an unknown mode", "/rgb.png", "OPTION_INVALID", /"raw"/, { mode: "raw" as MediaMode }],
  ["an aborted call", "/rgb.png", "ABORTED", /aborted/, { signal: AbortSignal.abort() }],
];
for (const [name, source, code, message, options] of bad) {
  test(`${name} is an error`, async () => {
    const given = typeof source === "string" && !source.startsWith("data:") ? `${folder}${source}` : source;
    try {
      await decodeImage(given as ImageSource, { readFile: readLocalFile, ...options });
    } catch (error) {
      const { code: found, message: said } = error as GlimtError;
      assert.is(found, code, said);
      assert.match(said, message);
      return;
    }
    assert.unreachable("no error");
  });
}

test("a picture after a corrupt one decodes as before", async () => {
  const before = await decodeImage(bytesOf("rgb16.png"));
  await decodeImage(scrambled("rgb16.png")).catch(() => {});
  assert.equal(await decodeImage(bytesOf("rgb16.png")), before);
});

test.run();
