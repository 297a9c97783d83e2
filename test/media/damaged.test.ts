import { readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { GlimtError } from "../../src/errors.ts";
import { decodeImage } from "../../src/media/decode-image.ts";
import { loadVideo } from "../../src/media/video.ts";
import { loadWebCodecs } from "../../src/media/webcodecs.node.ts";
import { fc } from "../property.ts";

const folder = `${process.cwd()}/test/golden/data/media`;
const samples = [
  "rgba.png",
  "palette.png",
  "420.jpg",
  "progressive.jpg",
  "turned-6.jpg",
  "lossy.webp",
  "turned.webp",
];
const files = samples.map((file) => new Uint8Array(readFileSync(`${folder}/${file}`)));
const animations = [
  "cleared.gif",
  "patches.gif",
  "blended.webp",
  "lossy.webp",
  "cleared.png",
  "over.png",
].map((file) => new Uint8Array(readFileSync(`${folder}/../movies/${file}`)));
/** 0..1, evenly: fc.double prefers the smallest numbers. */
const share = fc.noBias(fc.nat(1e6)).map((millionths) => millionths / 1e6);
const damage = fc.array(fc.tuple(share, fc.nat(255)), {
  minLength: 1,
  maxLength: 8,
});

/** A damaged file either still decodes to a picture of its own size, or fails with an error of glimt's own. */
async function survives(bytes: Uint8Array): Promise<boolean> {
  try {
    const { data, width, height } = await decodeImage(bytes, { maxDecodedPixels: 1e6 });
    return data.length === width * height * 3;
  } catch (error) {
    return error instanceof GlimtError && /^IMAGE_/.test(error.code);
  }
}

test("any bytes of a file may be wrong", async () => {
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...files), damage, (file, changes) => {
      return survives(damaged(file, changes));
    }),
    { numRuns: 200 },
  );
});

function damaged(file: Uint8Array, changes: readonly (readonly [number, number])[]): Uint8Array {
  const bytes = file.slice();
  for (const [place, value] of changes) bytes[Math.floor(place * (bytes.length - 1))] = value;
  return bytes;
}

test("any bytes of an animation may be wrong, as a picture and as a video", async () => {
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...animations), damage, async (file, changes) => {
      const bytes = damaged(file, changes);
      return (await survives(bytes)) && (await playsOrFails(bytes));
    }),
    { numRuns: 200 },
  );
});

test("a GIF frame may claim any size and code size", async () => {
  const gif = new Uint8Array(readFileSync(`${folder}/../movies/patches.gif`));
  // The image separator, then left, top, width, height (16 bits each), flags, and the code size behind a local table.
  const separator = gif.indexOf(0x2c, 13 + 3 * 2 ** (((gif[10] as number) & 7) + 1));
  const claims: [offset: number, values: number[]][] = [
    [5, [0xff, 0xff, 0xff, 0xff]],
    [1, [0xff, 0xff, 0xff, 0xff]],
    [10, [29]],
    [10, [255]],
    [10, [12]],
    [10, [0]],
  ];
  for (const [offset, values] of claims) {
    const bytes = gif.slice();
    bytes.set(values, separator + offset);
    assert.ok(await survives(bytes), `${values} at ${offset} as a picture`);
    assert.ok(await playsOrFails(bytes), `${values} at ${offset} as a video`);
  }
});

test("an animation may end anywhere", async () => {
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...animations), share, (file, part) =>
      playsOrFails(file.subarray(0, Math.floor(part * file.length))),
    ),
    { numRuns: 200 },
  );
});

test("any bytes of a movie may be wrong, and it may end anywhere", async () => {
  const movies = [
    "movies/variable.mp4",
    "movies/soundless.mkv",
    "movies/vp8.webm",
    "odd-movies/edits.mp4",
    "odd-movies/fragments.mp4",
    "odd-movies/copied.mpegts",
  ].map((file) => new Uint8Array(readFileSync(`${folder}/../${file}`)));
  const end = fc.oneof({ weight: 3, arbitrary: fc.constant(1) }, { weight: 1, arbitrary: share });
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...movies), damage, end, (file, changes, part) =>
      playsOrFails(damaged(file, changes).subarray(0, Math.floor(part * file.length))),
    ),
    { numRuns: 60 },
  );
});

async function playsOrFails(bytes: Uint8Array): Promise<boolean> {
  try {
    const video = await loadVideo(bytes, { maxDecodedPixels: 1e6, loadWebCodecs, stallMilliseconds: 1000 });
    try {
      for (let i = 0; i < Math.min(video.numFrames, 100); i++) await video.frame(i);
    } finally {
      await video.close();
    }
    return true;
  } catch (error) {
    return error instanceof GlimtError && /^(IMAGE|VIDEO)_/.test(error.code);
  }
}

test("a file may end anywhere", async () => {
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...files), share, (file, part) =>
      survives(file.subarray(0, Math.floor(part * file.length))),
    ),
    { numRuns: 200 },
  );
});

test("anything may follow a file's signature", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...files),
      fc.integer({ min: 2, max: 16 }),
      fc.uint8Array({ maxLength: 200 }),
      (file, kept, rest) => survives(Uint8Array.of(...file.subarray(0, kept), ...rest)),
    ),
    { numRuns: 300 },
  );
});

test.run();
