import { readFileSync } from "node:fs";
import * as fc from "fast-check";
import { test } from "uvu";
import { GlimtError } from "../../src/errors.ts";
import { decodeImage } from "../../src/media/decode-image.ts";
import { loadVideo } from "../../src/media/video.ts";

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
const damage = fc.array(fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.nat(255)), {
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

test("an animation may end anywhere", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...animations),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (file, part) => playsOrFails(file.subarray(0, Math.floor(part * file.length))),
    ),
    { numRuns: 200 },
  );
});

async function playsOrFails(bytes: Uint8Array): Promise<boolean> {
  try {
    const video = await loadVideo(bytes, { maxDecodedPixels: 1e6 });
    for (let i = 0; i < video.numFrames; i++) await video.frame(i);
    return true;
  } catch (error) {
    return error instanceof GlimtError && /^(IMAGE|VIDEO)_/.test(error.code);
  }
}

test("a file may end anywhere", async () => {
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...files), fc.double({ min: 0, max: 1, noNaN: true }), (file, part) =>
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
