import { readFileSync } from "node:fs";
import * as fc from "fast-check";
import { test } from "uvu";
import { GlimtError } from "../../src/errors.ts";
import { decodeImage } from "../../src/media/decode-image.ts";

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
  const damage = fc.array(fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.nat(255)), {
    minLength: 1,
    maxLength: 8,
  });
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...files), damage, (file, changes) => {
      const bytes = file.slice();
      for (const [place, value] of changes) bytes[Math.floor(place * (bytes.length - 1))] = value;
      return survives(bytes);
    }),
    { numRuns: 200 },
  );
});

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
