/** Golden checkpoints over emulated GPUs: the logits and tokens of one, and transformers' tokens. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type OpenedModel, openModelOn } from "../../src/api/load-model.ts";
import type { LoadOptions } from "../../src/api/load-options.ts";
import type { Backend } from "../../src/backends/backend.ts";
import { createCudaBackend } from "../../src/backends/cuda/backend.node.ts";
import type { CudaEngine } from "../../src/backends/cuda/engine.ts";
import { GroupEngine } from "../../src/backends/group/group-engine.ts";
import { nodeFiles } from "../../src/node-files.ts";
import { type Answers, answersOf, compareAnswers, countPlanned, dispose } from "../api/group-answers.ts";
import { EMULATOR_PATH } from "../bindings/emulator.ts";
import { goldenCases, goldenCheckpoints } from "../golden/load.ts";

const SHAPES = [
  { tensor: 2, pipeline: 1 },
  { tensor: 1, pipeline: 2 },
  { tensor: 2, pipeline: 2 },
  { tensor: 1, pipeline: 1, encoder: "stage" },
  { tensor: 2, pipeline: 1, encoder: "stage" },
] as const;
/** Of the shapes with a tower on a device of its own. */
const TOWER_CHECKPOINT = "glm_ocr-tiny";
const TOKENS = { forced: 4, chosen: 4 };

const cuda = createCudaBackend({ addonPath: EMULATOR_PATH, activations: "f32" });
/** By rank, of the model that was opened last. */
let engines: CudaEngine[] = [];
const backend: Backend = {
  ...cuda,
  async open(options) {
    const engine = (await cuda.open(options)) as CudaEngine;
    engines[options?.group?.rank ?? 0] = engine;
    return engine;
  },
};
const platform = { ...nodeFiles, backends: [backend] };

function open(directory: string, options: LoadOptions = {}): Promise<OpenedModel> {
  engines = [];
  return openModelOn(platform, directory, {
    media: "huggingface",
    backend: "cuda",
    encoderTokenBudgets: [],
    ...options,
  });
}

for (const checkpoint of goldenCheckpoints()) {
  // A picture, a video, words alone: the first of each.
  const cases = goldenCases(checkpoint).slice(0, 3);
  const directory = cases[0]?.checkpointDir as string;
  let alone: Promise<Answers> | undefined;
  for (const parallel of SHAPES) {
    const { tensor, pipeline } = parallel;
    const hasTower = "encoder" in parallel;
    if (hasTower && checkpoint !== TOWER_CHECKPOINT) continue;
    // Four ranks of one that has experts.
    if (tensor * pipeline > 2 && !checkpoint.includes("moe")) continue;
    test(`${checkpoint}, ${JSON.stringify(parallel)}`, async () => {
      alone ??= open(directory).then(async (one) => {
        const answers = await answersOf(one, cases, TOKENS);
        await dispose(one);
        return answers;
      });
      const expected = await alone;
      const model = await open(directory, { parallel });
      const group = model.core.parts.engine as GroupEngine;
      assert.instance(group, GroupEngine);
      const planned = countPlanned(group);
      const found = await answersOf(model, cases, TOKENS);
      // Features go by way of JavaScript.
      const spread = group.traffic.map((given) => given.bytes);
      if (hasTower) assert.ok(spread.at(-1));
      const bytes = engines.map(({ statistics }, rank) => statistics.bytesGiven + (spread[rank] as number));
      assert.equal(
        bytes,
        planned.map((rank) => rank.bytes),
      );
      assert.ok(bytes.some((given) => given > 0));
      compareAnswers(found, expected, tensor);
      assert.equal(
        found.tokenIds,
        cases.map(({ tokenIds }) => tokenIds.slice(0, TOKENS.chosen)),
      );
      await dispose(model);
    });
  }
}

test.run();
