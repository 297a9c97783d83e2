/** Items dealt over ranks as vLLM deals them, and the tower on several ranks at a time. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Backend } from "../../src/backends/backend.ts";
import { createGroupBackend } from "../../src/backends/group/backend.ts";
import type { GroupEngine } from "../../src/backends/group/group-engine.ts";
import { referenceBackend } from "../../src/backends/reference/backend.ts";
import { wasmBackend } from "../../src/backends/wasm/backend.ts";
import type { ModelConfig } from "../../src/config/types.ts";
import { MODEL_CONFIGS } from "../../src/conformance/model-configs.ts";
import { openSeededStages } from "../../src/conformance/seeded-stages.ts";
import { GlimtError } from "../../src/errors.ts";
import type { GridThw } from "../../src/processor/grid.ts";
import type { VisionItem } from "../../src/prompt/vision-items.ts";
import { encoderBudgets } from "../../src/runtime/encoder-batch.ts";
import { dealByLoad } from "../../src/runtime/encoder-shares.ts";
import type { OpenOptions } from "../../src/runtime/open-stages.ts";
import { faultyRank } from "../backends/runs-through.ts";
import { picture } from "./seeded-stages.ts";

/** What vLLM's get_load_balance_assignment gives: items of all ranks in turn, how many each has, and how much. */
const VECTORS = [
  [[1000, 100, 200, 50], 2, [0, 2, 1, 3], [1, 3], [1000, 350]],
  [[5, 5, 5, 5], 3, [0, 3, 1, 2], [2, 1, 1], [10, 5, 5]],
  [[7, 7, 8], 4, [2, 0, 1], [1, 1, 1, 0], [8, 7, 7, 0]],
  [[3136, 784, 784, 400, 400, 400], 2, [0, 1, 2, 3, 4, 5], [1, 5], [3136, 2768]],
  [[], 2, [], [0, 0], [0, 0]],
] as const;

for (const [sizes, ranks, items, counts, loads] of VECTORS) {
  test(`[${sizes}] over ${ranks} ranks`, () => {
    const shares = dealByLoad(sizes, ranks);
    assert.equal(shares.flat(), items);
    assert.equal(
      shares.map(({ length }) => length),
      counts,
    );
    assert.equal(
      shares.map((share) => share.reduce((sum, item) => sum + (sizes[item] as number), 0)),
      loads,
    );
  });
}

const GRIDS: readonly GridThw[] = [
  [1, 4, 4],
  [1, 2, 2],
  [2, 4, 6],
  [1, 6, 2],
  [1, 2, 4],
];

function groupOf(backend: Backend, ranks: number): Backend {
  const devices = Array.from({ length: ranks }, (_, rank) => rank);
  return createGroupBackend(backend, { tensor: ranks, pipeline: 1, devices, deadlineMs: 60_000 });
}

async function featuresOf(
  backend: Backend,
  config: ModelConfig,
  items: readonly VisionItem[],
  options: OpenOptions = {},
) {
  const { encoder, engine, slab } = await openSeededStages(backend, config, "f32", options);
  const runs: number[] = [];
  const { sideBySide } = engine;
  if (sideBySide) {
    const run = sideBySide.run.bind(sideBySide);
    Object.assign(sideBySide, {
      run: (...args: Parameters<typeof run>) => {
        runs.push(args[1].size);
        return run(...args);
      },
    });
  }
  const range = await encoder.encode(items);
  const { tensor, firstRow, rows } = range.deviceRows();
  const features = await engine.read(tensor, firstRow, rows);
  // Every rank has all of them.
  const { parts = [tensor] } = tensor as { parts?: (typeof tensor)[] };
  const group = engine as GroupEngine;
  if (sideBySide) assert.is(new Set(parts).size, group.liveBytesByRank.length);
  range.release();
  encoder.release();
  assert.is(slab.tensor.rows, 0);
  engine.dispose();
  return { features, runs };
}

for (const [name, config] of Object.entries(MODEL_CONFIGS)) {
  for (const [backend, counts] of [
    [referenceBackend, [2, 3, 6]],
    [wasmBackend, [2]],
  ] as const) {
    for (const ranks of counts) {
      test(`${name}: pictures encoded by ${ranks} ranks of ${backend.name} are those of one, in their order`, async () => {
        const pictures = GRIDS.map((grid, index) => picture(grid, `picture ${index}`, config));
        const given = { embeddings: new Float32Array(3 * config.vision.outHiddenSize).fill(0.5) };
        const items: VisionItem[] = [...pictures.slice(0, 3), given, ...pictures.slice(3)];
        const alone = await featuresOf(backend, config, items);
        const shared = await featuresOf(groupOf(backend, ranks), config, items);
        assert.equal(shared.features, alone.features);
        // Three pictures, then two; every rank has them in one run.
        assert.equal(shared.runs, [Math.min(3, ranks), 2]);
      });
    }
  }
}

const [config] = Object.values(MODEL_CONFIGS) as [ModelConfig];

test("likewise with runs that are padded to budgets, of which each rank has several", async () => {
  const budgets = encoderBudgets(4, 8, config.vision.spatialMergeSize);
  const items = [...GRIDS, ...GRIDS].map((grid, index) => picture(grid, `picture ${index}`, config));
  const options = { encoderBudgets: budgets };
  const alone = await featuresOf(referenceBackend, config, items, options);
  const shared = await featuresOf(groupOf(referenceBackend, 2), config, items, options);
  assert.equal(shared.features, alone.features);
  assert.ok(shared.runs.length > 1 && shared.runs[0] === 2, `${shared.runs}`);
});

test("features of a group are kept and found again", async () => {
  const options = { encoderCacheBytes: 1 << 20 };
  const { encoder, engine, slab } = await openSeededStages(
    groupOf(referenceBackend, 2),
    config,
    "f32",
    options,
  );
  const items = GRIDS.map((grid, index) => picture(grid, `picture ${index}`, config));
  const keys = GRIDS.map((_, index) => `key ${index}`);
  const once = async () => {
    const encoding = encoder.begin(items, keys);
    while (encoding.rowsLeft > 0) await encoding.next();
    const { tensor, firstRow, rows } = encoding.range.deviceRows();
    const features = await engine.read(tensor, firstRow, rows);
    encoding.range.release();
    return features;
  };
  const first = await once();
  assert.equal(await once(), first);
  assert.ok(slab.tensor.rows > 0, "what is kept lies in the slab");
  engine.dispose();
});

test("a rank without memory for its pictures fails the encoding, which can be tried again", async () => {
  const failing = faultyRank(referenceBackend, 1, async () => {
    throw new GlimtError("OUT_OF_MEMORY", "planted");
  });
  const items = GRIDS.map((grid, index) => picture(grid, `picture ${index}`, config));
  const alone = await featuresOf(referenceBackend, config, items);
  const { encoder, engine } = await openSeededStages(groupOf(failing, 2), config, "f32");
  const encoding = encoder.begin(items);
  try {
    await encoding.next();
    assert.unreachable();
  } catch (error) {
    assert.is((error as GlimtError).code, "OUT_OF_MEMORY");
  }
  while (encoding.rowsLeft > 0) await encoding.next();
  const { tensor, firstRow, rows } = encoding.range.deviceRows();
  assert.equal(await engine.read(tensor, firstRow, rows), alone.features);
  engine.dispose();
});

test.run();
