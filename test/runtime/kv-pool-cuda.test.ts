/** The KV cache grows on the device: nothing passes through the host, and one layer at most is held twice. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { createCudaBackend } from "../../src/backends/cuda/backend.node.ts";
import { KvPool } from "../../src/runtime/kv-pool.ts";
import { EMULATOR_PATH, loadEmulator } from "../bindings/emulator.ts";

const layout = { numLayers: 3, pageSize: 4, pageElements: 1024, dtype: "f32" } as const;
const PAGE_BYTES = 4 * layout.pageElements;

test("growing copies each layer's pages on the device", async () => {
  const engine = await createCudaBackend({ addonPath: EMULATOR_PATH }).open();
  const hostPath = () => assert.unreachable("a page passed through the host");
  const deviceOnly = Object.create(engine, {
    allocate: { value: engine.allocate.bind(engine) },
    free: { value: engine.free.bind(engine) },
    copy: { value: engine.copy.bind(engine) },
    read: { value: hostPath },
    write: { value: hostPath },
  });
  const addon = loadEmulator();
  const pool = new KvPool(deviceOnly, layout);
  const pages = pool.take(2);
  const layers = () => Object.values(pool.bindings());
  const content = (layer: number) =>
    Float32Array.from({ length: 2 * layout.pageElements }, (_, index) => 10000 * layer + index);
  for (const [layer, tensor] of layers().entries()) engine.write(tensor, 0, content(layer));

  const { freeBytes, totalBytes } = addon.probe(0);
  // All layers at their new size, and the last one at its old size.
  const peak = (layout.numLayers * 6 + 2) * PAGE_BYTES;
  addon.emulatorMemoryLimit(totalBytes - freeBytes - 3 * 2 * PAGE_BYTES + peak);
  try {
    pool.take(4);
  } finally {
    addon.emulatorMemoryLimit(totalBytes);
  }
  assert.equal([...pages].sort(), [0, 1]);
  for (const [layer, tensor] of layers().entries()) {
    assert.is(tensor.rows, 6);
    assert.equal(await engine.read(tensor, 0, 2), content(layer));
    assert.ok((await engine.read(tensor, 2)).every((value) => value === 0));
  }
  engine.dispose();
});

test.run();
