import { readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { GlimtError } from "../../src/errors.ts";
import { decodeImage } from "../../src/media/decode-image.ts";
import { crc32 } from "../golden/crc32.ts";
import { fc } from "../property.ts";

interface Pixels {
  readonly width: number;
  readonly height: number;
  readonly rgb: number;
}
/** Without pixels: Pillow refuses the file. */
type Case = { readonly file: string; readonly upright?: Pixels } & (Pixels | { readonly rgb?: undefined });

const cases: Record<string, Case> = JSON.parse(
  readFileSync(`${process.cwd()}/test/golden/data/jpeg.json`, "utf8"),
);

for (const [name, { file, upright, ...stored }] of Object.entries(cases)) {
  const bytes = new Uint8Array(Buffer.from(file, "base64"));
  if (stored.rgb === undefined) {
    test(`refused as Pillow refuses it, ${name}`, () => assertInvalid(bytes));
    continue;
  }
  test(`as Pillow reads it, ${name}`, async () => {
    const image = await decodeImage(bytes, { mode: "huggingface" });
    assert.equal({ width: image.width, height: image.height, rgb: crc32(image.data) }, stored);
  });
  if (!upright) continue;
  test(`as Pillow turns it, ${name}`, async () => {
    const image = await decodeImage(bytes);
    assert.equal({ width: image.width, height: image.height, rgb: crc32(image.data) }, upright);
  });
}

async function assertInvalid(bytes: Uint8Array, message = /./) {
  try {
    await decodeImage(bytes, { mode: "huggingface" });
  } catch (error) {
    assert.instance(error, GlimtError);
    assert.is((error as GlimtError).code, "IMAGE_INVALID");
    assert.match((error as GlimtError).message, message);
    return;
  }
  assert.unreachable("no error");
}

/** A progressive file: a DC scan of all components and `scans` of luma's AC, in which all blocks are empty. */
function manyScans(side: number, scans: number): Uint8Array {
  const segment = (marker: number, ...body: number[]) => [0xff, marker, 0, body.length + 2, ...body];
  const sides = [side >> 8, side & 255];
  const parts = [
    ...[0xff, 0xd8, ...segment(0xdb, 0, ...new Array(64).fill(1))],
    // The codes "0": of DC a difference of 0; of AC 2^14 + 14 bits of blocks without coefficients.
    ...segment(0xc4, 0, 1, ...new Array(15).fill(0), 0, 0x10, 1, ...new Array(15).fill(0), 0xe0),
    ...segment(0xc2, 8, ...sides, ...sides, 3, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0),
    ...segment(0xda, 3, 1, 0, 2, 0, 3, 0, 0, 0, 0),
    ...Array.from({ length: scans }, (_, i) => [
      ...segment(0xda, 1, 1, 0, 1, 63, i === 0 ? 0 : 0x10),
      ...[0x7f, 0xfe, 0x7f, 0xfe, 0x7f, 0xfe, 0x7f, 0xfe, 0x7f, 0xfe, 0x7f, 0xfe],
    ]).flat(),
    ...[0xff, 0xd9],
  ];
  return Uint8Array.from(parts);
}

test("a short file of very many scans over a large picture is refused early", async () => {
  const begun = performance.now();
  await assertInvalid(manyScans(2400, 5000), /2400 x 2400 JPEG\).*: \d+ scans .* are too many/);
  assert.ok(performance.now() - begun < 20_000);
});

test("a small picture may have many scans", async () => {
  const { data } = await decodeImage(manyScans(80, 400));
  assert.is(data.length, 80 * 80 * 3);
  assert.ok(data.every((sample) => sample === 128));
});

test("any bytes of any kind of JPEG may be wrong or missing", async () => {
  const files = Object.values(cases).map(({ file }) => new Uint8Array(Buffer.from(file, "base64")));
  /** 0..1, evenly: fc.double prefers the smallest numbers. */
  const share = fc.noBias(fc.nat(1e6)).map((millionths) => millionths / 1e6);
  const changes = fc.array(fc.tuple(share, fc.nat(255)), { maxLength: 8 });
  const end = fc.oneof(fc.constant(1), share);
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...files), changes, end, async (file, places, part) => {
      const bytes = file.slice(0, Math.ceil(part * file.length));
      for (const [place, value] of places) bytes[Math.floor(place * (bytes.length - 1))] = value;
      try {
        const { data, width, height } = await decodeImage(bytes, { maxDecodedPixels: 1e5 });
        return data.length === width * height * 3;
      } catch (error) {
        return error instanceof GlimtError && /^IMAGE_/.test(error.code);
      }
    }),
    { numRuns: 500 },
  );
});

test.run();
