/** Golden checkpoints over emulated GPUs: the logits and tokens of one, and transformers' tokens. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type OpenedModel, openModelOn } from "../../src/api/load-model.ts";
import type { LoadOptions } from "../../src/api/load-options.ts";
import { Model } from "../../src/api/model.ts";
import type { Backend } from "../../src/backends/backend.ts";
import { createCudaBackend } from "../../src/backends/cuda/backend.node.ts";
import type { CudaEngine } from "../../src/backends/cuda/engine.ts";
import { GroupEngine } from "../../src/backends/group/group-engine.ts";
import { nodeFiles } from "../../src/node-files.ts";
import { communicationOf } from "../../src/program/communication.ts";
import { forcedLogits } from "../../src/verify/forced-answer.ts";
import { EMULATOR_PATH } from "../bindings/emulator.ts";
import { type GoldenCase, goldenCases, goldenCheckpoints } from "../golden/load.ts";

const SHAPES = [
  [2, 1],
  [1, 2],
  [2, 2],
] as const;
const TOKENS = 4;
/** Of the spread of a row's logits: sums over parts come in another order. */
const TENSOR_TOLERANCE = 1e-5;

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

interface Answers {
  /** By case: logits [vocab] behind the prompt and each token. */
  readonly logits: readonly (readonly Float32Array[])[];
  readonly tokenIds: readonly (readonly number[])[];
  /** That each rank gave the others. */
  readonly bytes: readonly number[];
}

async function answersOf(
  { core, processor, facts }: OpenedModel,
  cases: readonly GoldenCase[],
): Promise<Answers> {
  const model = new Model(core, processor, facts);
  const logits: Float32Array[][] = [];
  const options = (golden: GoldenCase) => ({ templateVariables: golden.templateOptions });
  for (const golden of cases) {
    const inputs = await processor.process(golden.messages as never, options(golden));
    logits.push(await forcedLogits(core, inputs, golden.greedyIds.slice(0, TOKENS)));
  }
  const results = await Promise.all(
    cases.map((golden) =>
      model.complete(golden.messages as never, {
        ...options(golden),
        maxTokens: TOKENS,
        repetitionPenalty: 1,
      }),
    ),
  );
  const bytes = engines.map(({ statistics }) => statistics.bytesGiven);
  await model.dispose();
  assert.is(core.parts.engine.liveBytes, 0);
  return { logits, tokenIds: results.map((result) => result.tokenIds), bytes };
}

function open(directory: string, options: LoadOptions = {}): Promise<OpenedModel> {
  engines = [];
  return openModelOn(platform, directory, {
    media: "huggingface",
    backend: "cuda",
    encoderTokenBudgets: [],
    ...options,
  });
}

function largestDifference(found: Answers, expected: Answers): number {
  const differences = expected.logits.flatMap((rows, index) =>
    rows.map((row, step) => {
      const other = found.logits[index]?.[step] as Float32Array;
      const spread = Math.max(...row) - Math.min(...row);
      return Math.max(...row.map((logit, token) => Math.abs(logit - (other[token] as number)))) / spread;
    }),
  );
  return Math.max(...differences);
}

for (const checkpoint of goldenCheckpoints()) {
  // A picture, a video, words alone: the first of each.
  const cases = goldenCases(checkpoint).slice(0, 3);
  const directory = cases[0]?.checkpointDir as string;
  let alone: Promise<Answers> | undefined;
  for (const [tensor, pipeline] of SHAPES) {
    // Four ranks of one that has experts.
    if (tensor * pipeline > 2 && !checkpoint.includes("moe")) continue;
    test(`${checkpoint}, tensor ${tensor}, pipeline ${pipeline}`, async () => {
      alone ??= open(directory).then((model) => answersOf(model, cases));
      const expected = await alone;
      const model = await open(directory, { parallel: { tensor, pipeline } });
      const group = model.core.parts.engine as GroupEngine;
      assert.instance(group, GroupEngine);
      const planned = countPlanned(group);
      const found = await answersOf(model, cases);
      assert.equal(found.bytes, planned);
      assert.ok(planned.some((bytes) => bytes > 0));
      assert.equal(found.tokenIds, expected.tokenIds);
      assert.equal(
        found.tokenIds,
        cases.map(({ tokenIds }) => tokenIds.slice(0, TOKENS)),
      );
      if (tensor === 1) assert.equal(found.logits, expected.logits);
      else
        assert.ok(
          largestDifference(found, expected) <= TENSOR_TOLERANCE,
          `${largestDifference(found, expected)}`,
        );
    });
  }
}

/** Bytes that the programs say each rank gives, over all runs from now on. */
function countPlanned(engine: GroupEngine): number[] {
  const sums = engine.liveBytesByRank.map(() => 0);
  const run = engine.run.bind(engine);
  engine.run = async (executable, bindings, options) => {
    for (const [rank, program] of (executable.program.ranks ?? []).entries()) {
      for (const { bytes } of communicationOf(program, bindings.symbols)) {
        sums[rank] = (sums[rank] as number) + bytes;
      }
    }
    await run(executable, bindings, options);
  };
  return sums;
}

test.run();
