/** Patches give back the bytes that they were cut of. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { GlimtError } from "../../src/errors.ts";
import { processImage } from "../../src/processor/image.ts";
import { resizeBicubic } from "../../src/processor/resize.ts";
import { unpatchify, unpatchifyBand } from "../../src/processor/unpatchify.ts";
import { processVideo } from "../../src/processor/video.ts";
import { processorConfig } from "./golden.ts";
import { noise } from "./noise.ts";

const bytesOf = (data: Uint8Array | Uint8ClampedArray) =>
  Buffer.from(data.buffer, data.byteOffset, data.length);
const rgbOf = (data: Uint8ClampedArray) => bytesOf(data).filter((_, index) => index % 4 !== 3);

for (const [width, height, patchSize, mergeSize] of [
  [112, 168, 14, 2],
  [301, 97, 14, 2],
  [240, 200, 6, 3],
  [64, 512, 8, 1],
] as const) {
  for (const rounding of ["torchvision", "pillow"] as const) {
    test(`${width} x ${height}, patch ${patchSize}, merge ${mergeSize}, ${rounding}: every byte of the resized picture`, async () => {
      const config = processorConfig(patchSize, mergeSize);
      const data = noise(width, height, width);
      const { pixelValues, gridThw, resizedWidth, resizedHeight } = await processImage(
        { data, width, height },
        config,
        { rounding },
      );
      const expected = resizeBicubic(data, width, height, resizedWidth, resizedHeight, { rounding });
      for (const frame of [0, 1]) {
        const found = await unpatchify(pixelValues, gridThw, config, { frame });
        assert.is(`${found.width} x ${found.height}`, `${resizedWidth} x ${resizedHeight}`);
        assert.is(Buffer.compare(rgbOf(found.data), expected), 0);
        assert.ok(found.data.every((value, index) => index % 4 !== 3 || value === 255));
      }
    });
  }
}

test("frames of a video, and bands of them", async () => {
  const config = processorConfig();
  const frames = [3, 1, 4, 1, 5].map((seed) => ({ data: noise(seed, 112, 140), width: 140, height: 112 }));
  const video = {
    numFrames: frames.length,
    metadata: {},
    frame: async (index: number) => frames[index]!,
    close: async () => {},
  };
  const { pixelValues, gridThw } = await processVideo(video, "glm4v", config);
  assert.equal(gridThw, [3, 8, 10]);
  for (const [index, { data }] of frames.entries()) {
    const found = await unpatchify(pixelValues, gridThw, config, { frame: index });
    assert.is(Buffer.compare(rgbOf(found.data), data), 0, `frame ${index}`);
    const { data: band, width, height } = unpatchifyBand(pixelValues, gridThw, config, 3, index);
    assert.equal([width, height], [140, 28]);
    assert.is(
      Buffer.compare(bytesOf(band), bytesOf(found.data.subarray(3 * band.length))),
      0,
      `band of frame ${index}`,
    );
  }
  // The last one fills its temporal patch.
  const filling = await unpatchify(pixelValues, gridThw, config, { frame: 5 });
  assert.is(Buffer.compare(rgbOf(filling.data), frames[4]!.data), 0);
});

test("what does not fit is refused by name", async () => {
  const config = processorConfig();
  const values = new Float32Array(16 * 1176);
  const refused = async (values: Float32Array, options: object, complaint: RegExp) => {
    try {
      await unpatchify(values, [1, 4, 4], config, options);
    } catch (error) {
      assert.is((error as GlimtError).code, "INPUT_INVALID");
      return assert.match((error as GlimtError).message, complaint);
    }
    assert.unreachable();
  };
  await refused(values.subarray(1), {}, /grid of 1 x 4 x 4 has 18816 pixel values, but 18815/);
  await refused(values, { frame: 2 }, /frame is 2, expected a whole number below 2/);
  await refused(values, { frame: 0.5 }, /frame is 0.5/);
  assert.throws(
    () => unpatchifyBand(values, [1, 4, 4], config, 2),
    /band is 2, expected a whole number below 2/,
  );
  const gone = unpatchify(values, [1, 4, 4], config, { signal: AbortSignal.abort() });
  assert.is(await gone.catch(({ code }) => code), "ABORTED");
});

test.run();
