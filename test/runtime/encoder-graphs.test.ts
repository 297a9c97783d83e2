/** Padded encoder runs come back as captured CUDA graphs, one a budget, with the features of eager runs. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { loadModelOn } from "../../src/api/load-model.ts";
import { createCudaBackend } from "../../src/backends/cuda/backend.node.ts";
import type { CudaEngine } from "../../src/backends/cuda/engine.ts";
import { type Checkpoint, openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { openDirectory } from "../../src/checkpoint/directory.node.ts";
import type { VisionConfig } from "../../src/config/types.ts";
import { Random } from "../../src/conformance/random.ts";
import { openFiles } from "../../src/index.ts";
import { readLocalFile } from "../../src/media/files.node.ts";
import { type GridThw, numPatches } from "../../src/processor/grid.ts";
import { type EncoderItem, patchElements } from "../../src/prompt/vision-items.ts";
import type { HostArray } from "../../src/tensor/dtype.ts";
import { EMULATOR_PATH } from "../bindings/emulator.ts";
import { goldenCases } from "../golden/load.ts";
import { openCheckpointStages } from "../models/checkpoint-stages.ts";

/** Features of the largest budget. */
const LARGEST = 12;
const BUDGETS = [
  { patches: 4 * 4, frames: 4 },
  { patches: 4 * LARGEST, frames: LARGEST },
];

/** What is encoded, step after step, and the statistics after it: eager runs, captures, replays. */
const STEPS: readonly [what: string, grids: readonly GridThw[], statistics: readonly number[]][] = [
  ["larger than any budget: eager, at its own size", [[1, 8, 8]], [1, 0, 0]],
  ["fills the large budget: eager the first time", [[1, 6, 8]], [2, 0, 0]],
  [
    "a video of two thirds of its size, after a batch that left its data behind: captured",
    [[2, 4, 4]],
    [2, 1, 1],
  ],
  ["fits the small budget: eager the first time", [[1, 2, 2]], [3, 1, 1]],
  [
    "one run for each budget: replayed, and captured",
    [
      [1, 6, 8],
      [1, 4, 4],
    ],
    [3, 2, 3],
  ],
  [
    "two items in one run of the large budget: replayed",
    [
      [1, 4, 8],
      [1, 4, 4],
    ],
    [3, 2, 4],
  ],
  ["larger than any budget again: eager again", [[1, 8, 8]], [4, 2, 4]],
  [
    "larger than any, between two that replay",
    [
      [1, 2, 4],
      [1, 8, 8],
      [2, 4, 4],
    ],
    [5, 2, 6],
  ],
];

function items(grids: readonly GridThw[], config: VisionConfig, random: Random): EncoderItem[] {
  return grids.map((gridThw) => ({
    gridThw,
    pixelValues: Float32Array.from({ length: numPatches(gridThw) * patchElements(config) }, () =>
      random.normal(),
    ),
  }));
}

async function open(checkpoint: Checkpoint, graphs: boolean) {
  const backend = createCudaBackend({ addonPath: EMULATOR_PATH, graphs });
  const { engine, encoder, slab, weights } = await openCheckpointStages(backend, checkpoint, {
    encoderBudgets: BUDGETS,
  });
  return { engine: engine as CudaEngine, encoder, slab, weights };
}

async function encodeSteps(checkpoint: Checkpoint, graphs: boolean) {
  const { engine, encoder, slab } = await open(checkpoint, graphs);
  const { vision } = checkpoint.config;
  const random = new Random("pictures");
  const features: HostArray[] = [];
  const statistics: number[][] = [];
  for (const [, grids] of STEPS) {
    const range = await encoder.encode(items(grids, vision, random));
    assert.equal(
      [range.rows, slab.cols],
      [grids.reduce((sum, grid) => sum + numPatches(grid) / 4, 0), vision.outHiddenSize],
    );
    const { tensor, firstRow, rows } = range.deviceRows();
    features.push(await engine.read(tensor, firstRow, rows));
    range.release();
    const { eagerRuns, graphCaptures, graphReplays } = engine.statistics;
    statistics.push([eagerRuns, graphCaptures, graphReplays]);
  }
  engine.dispose();
  return { features, statistics };
}

for (const name of ["glm4v-tiny", "glm_ocr-tiny"]) {
  test(`${name}: one graph a budget serves what fits it; features are those of eager runs, bit for bit`, async () => {
    const checkpoint = await openCheckpoint(await openDirectory(goldenCases(name)[0]!.checkpointDir));
    const replayed = await encodeSteps(checkpoint, true);
    const eager = await encodeSteps(checkpoint, false);
    for (const [step, [what, , statistics]] of STEPS.entries()) {
      assert.equal(replayed.statistics[step], statistics, what);
      assert.equal(eager.statistics[step]!.slice(1), [0, 0], what);
      assert.equal(replayed.features[step], eager.features[step], what);
      assert.ok(
        (eager.features[step] as Uint16Array).some((value) => value !== 0),
        what,
      );
    }
  });
}

test("the tensor that padded runs write to is as large as the largest budget, and given back", async () => {
  const checkpoint = await openCheckpoint(await openDirectory(goldenCases("glm_ocr-tiny")[0]!.checkpointDir));
  const { engine, encoder, weights } = await open(checkpoint, true);
  const { vision } = checkpoint.config;
  const random = new Random("pictures");
  const encode = async (grids: readonly GridThw[]) =>
    (await encoder.encode(items(grids, vision, random))).release();
  // What is freed right after a run goes when the engine's thread gets to it, before whatever is asked of it later.
  const marker = engine.allocate("f32", 1, 1);
  const settledBytes = async () => {
    await engine.read(marker);
    return engine.liveBytes;
  };
  await encode([[1, 8, 8]]);
  const before = await settledBytes();
  await encode([[1, 2, 2]]);
  const kept = LARGEST * vision.outHiddenSize * 2;
  assert.is(await settledBytes(), before + kept);
  await encode([[1, 6, 8]]);
  assert.is(await settledBytes(), before + kept);
  encoder.release();
  assert.is(await settledBytes(), before);
  await encode([[1, 2, 2]]);
  assert.is(await settledBytes(), before + kept);
  assert.ok(weights.size > 0, "weights that nobody holds would be freed meanwhile");
  engine.dispose();
  assert.is(engine.liveBytes, 0);
});

test("small pictures are padded by default where runs are replayed, and only there", async () => {
  for (const [options, graphs, patches] of [
    [{}, true, 4 * 64],
    [{}, false, 24],
    [{ encoderTokenBudgets: [] }, true, 24],
  ] as const) {
    const backends = [createCudaBackend({ addonPath: EMULATOR_PATH, graphs })];
    const platform = { backends, openFiles, readFile: readLocalFile };
    const model = await loadModelOn(platform, goldenCases("glm4v-tiny")[0]!.checkpointDir, options);
    assert.is((await model.plan({ images: [{ width: 90, height: 60 }] })).vision.patches, patches);
    await model.dispose();
  }
});

test.run();
