/** How many kernels a decode step launches on CUDA, layer by layer: each costs about a microsecond. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { createCudaBackend } from "../../src/backends/cuda/backend.node.ts";
import type { CudaEngine } from "../../src/backends/cuda/engine.ts";
import type { ModelConfig } from "../../src/config/types.ts";
import { denseConfig, moeConfig, ocrConfig } from "../../src/conformance/model-configs.ts";
import { openSeededStages } from "../../src/conformance/seeded-stages.ts";
import { textPositions } from "../../src/mrope/positions.ts";
import { answerOf } from "../../src/runtime/decoder.ts";
import { Sequence } from "../../src/runtime/kv-pool.ts";
import { GREEDY } from "../../src/runtime/sampling-rows.ts";
import { EMULATOR_PATH } from "./emulator.ts";

const backend = createCudaBackend({ addonPath: EMULATOR_PATH, graphs: false });
await backend.probe();

/** Kernels of the second step of a sequence: one token after a context long enough to be cut into splits. */
async function stepLaunches(config: ModelConfig): Promise<number> {
  const { engine, decoder, pool } = await openSeededStages(backend, config, "bf16");
  try {
    const sequence = new Sequence(pool);
    const launches = () => (engine as CudaEngine).statistics.launches;
    const forward = (ids: number[]) =>
      decoder.forward([
        {
          sequence,
          inputIds: ids,
          positionIds: textPositions(sequence.length, ids.length, 0),
          wantsLogits: true,
        },
      ]);
    await forward(new Array<number>(200).fill(7));
    const before = launches();
    await forward([8]);
    return launches() - before;
  } finally {
    engine.dispose();
  }
}

/** Sizes whose kernels are those of the released models. */
function regular(config: ModelConfig, numHiddenLayers: number): ModelConfig {
  const text = { ...config.text, hiddenSize: 32, intermediateSize: 48, headDim: 16, numHiddenLayers };
  return { ...config, text };
}

for (const [name, config] of Object.entries({ ocrConfig, denseConfig })) {
  test(`${name}: eight kernels a layer, and eight around them`, async () => {
    const [two, three] = [await stepLaunches(regular(config, 2)), await stepLaunches(regular(config, 3))];
    assert.is(three - two, 8);
    // embed, the first norm, two times the rows that go on, the head, three to choose a token.
    assert.is(two - 2 * 8, 8);
  });
}

test("moeConfig: eight kernels a dense layer", async () => {
  const moe = { ...moeConfig.text.moe!, firstKDenseReplace: 9 };
  const dense = { ...moeConfig, text: { ...moeConfig.text, moe } };
  assert.is((await stepLaunches(regular(dense, 3))) - (await stepLaunches(regular(dense, 2))), 8);
});

test("a step that reads three guesses and makes three is one replayed graph, however many were right", async () => {
  const replaying = createCudaBackend({ addonPath: EMULATOR_PATH });
  await replaying.probe();
  const { engine, decoder, pool } = await openSeededStages(replaying, regular(ocrConfig, 2), "bf16", {
    mtp: { ownEmbedding: false, ownNorm: true, ownHead: false },
  });
  const sequence = new Sequence(pool);
  sequence.reserve(64);
  const step = async (ids: readonly number[]) => {
    sequence.length = 20;
    const { eagerRuns, graphReplays } = (engine as CudaEngine).statistics;
    const [result] = await decoder.forward([
      {
        sequence,
        inputIds: ids,
        positionIds: textPositions(20, ids.length, 0),
        sampling: ids.map(() => GREEDY),
        drafting: { most: 3, sampling: [...ids, 0, 0].map(() => GREEDY) },
      },
    ]);
    const after = (engine as CudaEngine).statistics;
    const { tokens, drafts } = answerOf(result);
    assert.is(drafts?.length, 3);
    return { tokens, eager: after.eagerRuns - eagerRuns, replays: after.graphReplays - graphReplays };
  };
  await step([1, 2, 3, 4]);
  await step([1, 2, 3, 4]);
  const { tokens, ...wrong } = await step([1, 2, 3, 4]);
  assert.equal(wrong, { eager: 0, replays: 1 });
  const { tokens: _, ...right } = await step([1, ...tokens.slice(0, 1), 3, 4]);
  assert.equal(right, { eager: 0, replays: 1 });
  engine.dispose();
});

test.run();
