/** What the devices of a group have of a model, and how much of the KV cache fits them. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { referenceBackend } from "../../src/backends/reference/backend.ts";
import { MODEL_CONFIGS } from "../../src/conformance/model-configs.ts";
import type { GlimtError } from "../../src/errors.ts";
import { compileStages, type GroupStages } from "../../src/runtime/compile-stages.ts";
import { type DeviceShare, deviceShares, loadMemory } from "../../src/runtime/device-memory.ts";
import { kvPoolLayout, pageBytes } from "../../src/runtime/kv-pool.ts";

const config = Object.values(MODEL_CONFIGS)[0] as NonNullable<(typeof MODEL_CONFIGS)[string]>;

function sharesOf(group?: GroupStages, of = config): DeviceShare[] {
  const { stages } = compileStages(referenceBackend, of, { weightDType: () => "f32", group });
  return deviceShares(stages.map(({ program }) => program));
}

const total = (shares: readonly DeviceShare[], of: keyof DeviceShare) =>
  shares.reduce((sum, share) => sum + share[of], 0);
const engine = (freeBytes: number | undefined) => ({ freeBytes, backend: referenceBackend });

test("one device has all, stages have their layers, and key and value heads that are few are on several", () => {
  const [one] = sharesOf() as [DeviceShare];
  const page = pageBytes(kvPoolLayout(config.text, 16, "f32"));
  assert.is(one.pageBytes, page);
  const stages = sharesOf({ tensor: 1, pipeline: 2 });
  assert.is(total(stages, "pageBytes"), page);
  assert.ok(stages.every(({ weightBytes }) => weightBytes < one.weightBytes));
  const text = { ...config.text, numKeyValueHeads: 1 };
  const tensor = sharesOf({ tensor: 2, pipeline: 1, encoder: "data" }, { ...config, text });
  assert.is(total(tensor, "pageBytes"), 2 * pageBytes(kvPoolLayout(text, 16, "f32")));
});

test("a share of what is free is that of the device with least room", () => {
  const shares = [
    { weightBytes: 1000, pageBytes: 10 },
    { weightBytes: 400, pageBytes: 30 },
  ];
  // 2000 on each: (2000 - 1000) / 2 / 10 = 50 pages, and (2000 - 400) / 2 / 30 = 26.
  const memory = loadMemory(engine(4000), shares, { fraction: 0.5 });
  assert.equal(memory, { weightBytes: 1400, kvCacheBytes: 26 * 40, freeBytes: 4000, pages: 26 });
  assert.is(loadMemory(engine(undefined), shares, { bytes: 4100 }).pages, 102);
  assert.is(loadMemory(engine(undefined), shares, undefined).pages, 0);
});

test("what does not fit one of the devices is refused, though all together have room", () => {
  const shares = [
    { weightBytes: 3 * 2 ** 30, pageBytes: 1 },
    { weightBytes: 2 ** 30, pageBytes: 1 },
  ];
  try {
    loadMemory(engine(5 * 2 ** 30), shares, undefined);
    assert.unreachable();
  } catch (error) {
    assert.is((error as GlimtError).code, "OUT_OF_MEMORY");
    assert.match(
      (error as GlimtError).message,
      /^The weights of a device's part need 3.00 GiB, and the device has 2.50 GiB free/,
    );
  }
});

test.run();
