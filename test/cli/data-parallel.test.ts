/** `--data-parallel` beside the other flags of devices. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { parallelOptions } from "../../src/cli/parallel-flags.ts";

test("copies may be groups of devices", () => {
  assert.equal(parallelOptions({ dataParallel: 2, devices: [0, 1, 2, 3], tensorParallel: 2 }), {
    dataParallel: 2,
    devices: [0, 1, 2, 3],
    parallel: { tensor: 2, pipeline: undefined, cuts: undefined, encoder: undefined, timeout: undefined },
  });
});

test("one device is not several", () => {
  assert.throws(
    () => parallelOptions({ dataParallel: 2, device: 1 }),
    /--device is one, and --data-parallel/,
  );
});

test.run();
