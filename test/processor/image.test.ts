import { test } from "uvu";
import * as assert from "uvu/assert";
import pixelModule from "../../build/wasm/pixels.wasm";
import type { GlimtError } from "../../src/errors.ts";
import { processImage } from "../../src/processor/image.ts";
import { resizeBicubic } from "../../src/processor/resize.ts";
import { fc } from "../property.ts";
import { checksum, golden, processorConfig } from "./golden.ts";
import { noise } from "./noise.ts";

for (const [index, rounding] of [
  [1, "torchvision"],
  [2, "pillow"],
] as const) {
  test(`${golden.resizes.length} resizes equal ${rounding}'s bytes`, () => {
    golden.resizes.forEach((row, seed) => {
      const [height, width, outHeight, outWidth] = row[0];
      const found = resizeBicubic(noise(seed, height, width), width, height, outWidth, outHeight, {
        rounding,
      });
      assert.is(
        checksum(found),
        row[index],
        `seed ${seed}: ${width} x ${height} -> ${outWidth} x ${outHeight}`,
      );
    });
  });
}

for (const { seed, height, width, patchSize, mergeSize, gridThw, ...expected } of golden.images) {
  test(`pixel values equal transformers': ${width} x ${height}, patch ${patchSize}, merge ${mergeSize}`, async () => {
    const image = { data: noise(seed, height, width), width, height };
    for (const rounding of ["torchvision", "pillow"] as const) {
      const found = await processImage(image, processorConfig(patchSize, mergeSize), { rounding });
      assert.equal(found.gridThw, gridThw);
      assert.is(checksum(found.pixelValues), expected[rounding], rounding);
    }
  });
}

test("a picture of one colour stays that colour at any size", () => {
  const side = fc.integer({ min: 1, max: 60 });
  const rounding = fc.constantFrom("torchvision" as const, "pillow" as const);
  fc.assert(
    fc.property(
      side,
      side,
      side,
      side,
      fc.nat(255),
      rounding,
      (width, height, outWidth, outHeight, value, by) => {
        const rgb = new Uint8Array(width * height * 3).fill(value);
        return resizeBicubic(rgb, width, height, outWidth, outHeight, { rounding: by }).every(
          (byte) => byte === value,
        );
      },
    ),
  );
});

test("the input is neither changed nor returned", () => {
  const rgb = noise(0, 5, 7);
  const before = rgb.slice();
  const same = resizeBicubic(rgb, 7, 5, 7, 5);
  assert.equal(same, rgb);
  assert.is.not(same.buffer, rgb.buffer);
  resizeBicubic(rgb, 7, 5, 3, 9);
  assert.equal(rgb, before);
});

test("the pixel module is small enough for a browser's main thread to compile at once", () => {
  assert.ok(pixelModule.byteLength < 4096, `${pixelModule.byteLength} bytes`);
});

const bad: [string, () => unknown, string, RegExp][] = [
  [
    "bytes that do not fit the size",
    () => resizeBicubic(new Uint8Array(10), 2, 2, 1, 1),
    "INPUT_INVALID",
    /12 bytes, but 10/,
  ],
  [
    "pixels that are no bytes",
    () => resizeBicubic(new Float32Array(12) as unknown as Uint8Array, 2, 2, 1, 1),
    "INPUT_INVALID",
    /Uint8Array/,
  ],
  [
    "an output side of 0",
    () => resizeBicubic(new Uint8Array(12), 2, 2, 0, 1),
    "INPUT_INVALID",
    /outWidth is 0/,
  ],
  [
    "an unknown rounding",
    () => resizeBicubic(new Uint8Array(12), 2, 2, 1, 1, { rounding: "opencv" as "pillow" }),
    "OPTION_INVALID",
    /opencv/,
  ],
];
for (const [name, run, code, message] of bad) {
  test(`${name} is an error`, () => {
    assert.throws(run, (error: GlimtError) => error.code === code && message.test(error.message));
  });
}

test("pixel values for which there is no memory", async () => {
  const config = { ...processorConfig(14, 2), minPixels: 1e18, maxPixels: 1e19 };
  const error = await processImage({ data: noise(1, 28, 28), width: 28, height: 28 }, config).catch(
    (error) => error,
  );
  assert.is(error.code, "OUT_OF_MEMORY");
  assert.match(error.message, "maxPixels");
});

test("a size for which there is no memory", () => {
  try {
    resizeBicubic(noise(1, 2, 2), 2, 2, 1e9, 1e9);
    assert.unreachable();
  } catch (error) {
    assert.is((error as GlimtError).code, "OUT_OF_MEMORY");
  }
});

test.run();
