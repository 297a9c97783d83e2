/** Runs that repeat are replayed as captured graphs, with the same results, and decoding repeats. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { loadModelOn } from "../../src/api/load-model.ts";
import { createCudaBackend } from "../../src/backends/cuda/backend.node.ts";
import type { CudaEngine } from "../../src/backends/cuda/engine.ts";
import { openFiles } from "../../src/index.ts";
import { readLocalFile } from "../../src/media/files.node.ts";
import type { Message } from "../../src/prompt/process-options.ts";
import { goldenCases } from "../golden/load.ts";
import { EMULATOR_PATH, FAULT, loadEmulator } from "./emulator.ts";
import { openLongRun, WIDTH } from "./long-program.ts";

const golden = goldenCases("glm_ocr-tiny").filter(({ imageGridThw }) => imageGridThw.length === 1)[0]!;

async function open(graphs: boolean): Promise<CudaEngine> {
  return (await createCudaBackend({
    addonPath: EMULATOR_PATH,
    activations: "f32",
    graphs,
  }).open()) as CudaEngine;
}

test("the second run of the same sizes and tensors is captured, those after it are replayed", async () => {
  const engine = await open(true);
  const { run, y, x } = await openLongRun(engine, 8);
  const facts = () => {
    const { eagerRuns, graphCaptures, graphReplays } = engine.statistics;
    return [eagerRuns, graphCaptures, graphReplays];
  };
  await run(2);
  assert.equal(facts(), [1, 0, 0]);
  await run(2);
  assert.equal(facts(), [1, 1, 1]);
  // Inputs are read anew, though the launches are those that were captured.
  x.fill(5);
  await run(2);
  assert.equal(facts(), [1, 1, 2]);
  assert.equal(await engine.read(y, 0, 2), x.slice(0, 2 * WIDTH));
  await run(4);
  assert.equal(facts(), [2, 1, 2]);
  await run(2);
  assert.is((await engine.read(y, 0, 1))[0], 5);
  engine.dispose();
});

test("without graphs every run is eager", async () => {
  const engine = await open(false);
  const { run } = await openLongRun(engine, 2);
  for (let i = 0; i < 3; i++) await run(2);
  assert.equal([engine.statistics.eagerRuns, engine.statistics.graphCaptures], [3, 0]);
  engine.dispose();
});

test("runs are known again after a larger one, whose memory their graphs did not know; old ones are forgotten", async () => {
  const engine = await open(true);
  const { run } = await openLongRun(engine, 200, 2);
  const after = async (rows: number) => {
    await run(rows);
    const { eagerRuns, graphCaptures, graphReplays } = engine.statistics;
    return [eagerRuns, graphCaptures, graphReplays];
  };
  assert.equal([await after(2), await after(2)].at(-1), [1, 1, 1]);
  assert.equal(await after(200), [2, 1, 1]);
  assert.equal(await after(2), [2, 2, 2], "captured at once");
  for (let rows = 3; rows < 66; rows++) await run(rows);
  assert.equal(await after(2), [65, 2, 3], "64 runs are remembered");
  assert.equal(await after(200), [66, 2, 3], "but no more");
  engine.dispose();
});

test("a launch that fails while a graph is captured or replayed ends that run alone", async () => {
  const engine = await open(true);
  const { run, y, x } = await openLongRun(engine, 2);
  await run(2);
  for (const countdown of [3, 1]) {
    loadEmulator().emulatorFail(FAULT.launch, countdown);
    await run(2).then(
      () => assert.unreachable("the planted fault did not end the run"),
      (error) => assert.is(error.code, "DEVICE_FAILED"),
    );
    loadEmulator().emulatorFail(FAULT.launch, 0);
    await run(2);
    assert.equal(await engine.read(y), x);
  }
  engine.dispose();
});

/** The list of penalised tokens grows, but its padded length seldom does. */
const SAMPLED = { temperature: 1.2, topK: 30, topP: 0.95, minP: 0.01, repetitionPenalty: 1.1, seed: 5 };

for (const [how, sampling] of [
  ["greedily", {}],
  ["with samples", SAMPLED],
] as const) {
  test(`a model decodes ${how} by replay, to the same answer as eagerly`, async () => {
    const results = [];
    for (const graphs of [true, false]) {
      const backend = createCudaBackend({ addonPath: EMULATOR_PATH, graphs });
      let engine: CudaEngine | undefined;
      const spied = { ...backend, open: async () => (engine = (await backend.open()) as CudaEngine) };
      const platform = { backends: [spied], openFiles, readFile: readLocalFile };
      const model = await loadModelOn(platform, golden.checkpointDir, { media: "huggingface" });
      const { tokenIds, topLogits } = await model.complete(golden.messages as Message[], {
        maxTokens: 12,
        ...sampling,
      });
      results.push({ tokenIds, topLogits });
      const { eagerRuns, graphReplays } = engine!.statistics;
      if (graphs)
        assert.ok(graphReplays >= 8 && eagerRuns <= 5, `${graphReplays} replays, ${eagerRuns} eager`);
      else assert.is(graphReplays, 0);
      await model.dispose();
    }
    assert.equal(results[0], results[1]);
  });
}

test.run();
