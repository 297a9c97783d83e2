/** A model that several devices share answers as on one. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type DeviceOptions, resolveParallel } from "../../src/api/parallel-options.ts";
import type { GlimtError } from "../../src/errors.ts";

const REFUSED: readonly (readonly [options: DeviceOptions, message: RegExp])[] = [
  [{ devices: [] }, /devices is an empty list/],
  [{ devices: [0, 0] }, /devices names 0 twice/],
  [{ devices: [0, -1] }, /devices\[1\] is -1, expected the number of a device/],
  [{ devices: [0, 1, 2], parallel: { pipeline: 2 } }, /3 devices can not be 2 stages/],
  [
    { devices: [0, 1, 2], parallel: { tensor: 2, pipeline: 2 } },
    /devices names 3, and tensor 2 x pipeline 2 are 4/,
  ],
  [{ parallel: { tensor: 0 } }, /parallel.tensor is 0, expected a whole number from 1/],
  [{ parallel: { pipeline: 1.5 } }, /parallel.pipeline is 1.5/],
  [{ parallel: { encoder: "both" as "data" } }, /parallel.encoder is "both", expected tensor, data, stage/],
  [
    { devices: [0], parallel: { encoder: "stage" } },
    /1 devices, 1 of them the encoder's, can not be 1 stages of the pipeline/,
  ],
  [
    { devices: [0, 1], parallel: { tensor: 2, encoder: "stage" } },
    /devices names 2, and tensor 2 x pipeline 1 are 2, and with 1 for the encoder 3/,
  ],
  [
    { parallel: { tensor: 2, encoder: "stage", processes: { count: 2, openMail() {} } as never } },
    /with 1 for the encoder 3, which 2 processes do not divide/,
  ],
  [{ parallel: { timeout: 0 } }, /parallel.timeout is 0/],
  [
    { parallel: { cuts: [1] } },
    /parallel.cuts is \[1\], expected the first layers of 1 stages but the first/,
  ],
  [{ parallel: { pipeline: 3, cuts: [2, 2] } }, /parallel.cuts is \[2, 2\], .*ascending/],
  [{ parallel: { pipeline: 2, cuts: [0] } }, /parallel.cuts is \[0\]/],
  [
    { parallel: { processes: { count: 2 } as never } },
    /parallel.processes is an object, expected what joinProcesses gave/,
  ],
  [{ parallel: { tensors: 2 } as object }, /parallel has no option "tensors"/],
];

for (const [options, message] of REFUSED) {
  test(`refused: ${JSON.stringify(options)}`, async () => {
    try {
      resolveParallel(options);
      assert.unreachable();
    } catch (error) {
      assert.is((error as GlimtError).code, "OPTION_INVALID", String(error));
      assert.match((error as GlimtError).message, message);
    }
  });
}

test("what is left out follows from the rest", () => {
  const shape = (options: Parameters<typeof resolveParallel>[0]) => {
    const { tensor, pipeline, devices } = resolveParallel(options) ?? {};
    return [tensor, pipeline, devices];
  };
  assert.is(resolveParallel({}), null);
  assert.equal(shape({ devices: [3] }), [1, 1, [3]]);
  assert.equal(shape({ devices: [2, 5] }), [2, 1, [2, 5]]);
  assert.equal(shape({ devices: [0, 1, 2, 3], parallel: { pipeline: 2 } }), [2, 2, [0, 1, 2, 3]]);
  assert.equal(shape({ parallel: { tensor: 2, pipeline: 2 } }), [2, 2, [0, 1, 2, 3]]);
  assert.equal(shape({ parallel: { pipeline: 3 } }), [1, 3, [0, 1, 2]]);
  const withEncoders = (options: DeviceOptions) => {
    const { tensor, encoders, devices } = resolveParallel(options) ?? {};
    return [tensor, encoders, devices];
  };
  const stage = { encoder: "stage" } as const;
  assert.equal(withEncoders({ parallel: stage }), [1, 1, [0, 1]]);
  assert.equal(withEncoders({ devices: [4, 2, 7], parallel: stage }), [2, 1, [4, 2, 7]]);
  assert.equal(withEncoders({ devices: [0, 1, 2, 3], parallel: { ...stage, tensor: 2 } }), [
    2,
    2,
    [0, 1, 2, 3],
  ]);
  assert.equal(withEncoders({ devices: [0, 1], parallel: { encoder: "data" } }), [2, 0, [0, 1]]);
});

test.run();
