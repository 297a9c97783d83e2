/** Every golden checkpoint over several devices: the logits and tokens of one device. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type OpenedModel, openModelOn } from "../../src/api/load-model.ts";
import type { LoadOptions } from "../../src/api/load-options.ts";
import { Model } from "../../src/api/model.ts";
import type { Backend } from "../../src/backends/backend.ts";
import { GroupEngine } from "../../src/backends/group/group-engine.ts";
import { referenceBackend } from "../../src/backends/reference/backend.ts";
import { wasmBackend } from "../../src/backends/wasm/backend.ts";
import { nodeFiles } from "../../src/node-files.ts";
import { communicationOf } from "../../src/program/communication.ts";
import { forcedLogits } from "../../src/verify/forced-answer.ts";
import { type GoldenCase, goldenCases, goldenCheckpoints } from "../golden/load.ts";

type Shape = NonNullable<LoadOptions["parallel"]>;
const SHAPES: readonly Shape[] = [
  ...[1, 2, 4].flatMap((tensor) => [1, 2].map((pipeline) => ({ tensor, pipeline }))),
  { tensor: 2, pipeline: 1, encoder: "data" },
];
/** Ranks that a checkpoint can not be shared by: heads do not divide. */
const REFUSED = new Set(["glm46v-flash-tiny 4"]);
/** Text, pictures and a video; all that were recorded pass too, and take minutes. */
const CASES = ["text", "two-images", "odd-video"];
/** Of the spread of a row's logits. */
const TENSOR_TOLERANCE = 1e-5;

interface Answers {
  /** By case: logits [vocab] behind the prompt and each token. */
  readonly logits: readonly (readonly Float32Array[])[];
  readonly tokenIds: readonly (readonly number[])[];
}

async function answersOf(
  { core, processor, facts }: OpenedModel,
  cases: readonly GoldenCase[],
): Promise<Answers> {
  const model = new Model(core, processor, facts);
  const logits: Float32Array[][] = [];
  const tokenIds: (readonly number[])[] = [];
  const options = (golden: GoldenCase) => ({ templateVariables: golden.templateOptions });
  for (const golden of cases) {
    const inputs = await processor.process(golden.messages as never, options(golden));
    logits.push(await forcedLogits(core, inputs, golden.greedyIds.slice(0, 3)));
  }
  // All at a time, so that steps hold several and are cut into micro-batches.
  const results = await Promise.all(
    cases.map((golden) =>
      model.complete(golden.messages as never, { ...options(golden), maxTokens: 12, repetitionPenalty: 1 }),
    ),
  );
  tokenIds.push(...results.map((result) => result.tokenIds));
  await model.dispose();
  assert.is(core.parts.engine.liveBytes, 0);
  return { logits, tokenIds };
}

function open(backend: Backend, golden: GoldenCase, options: LoadOptions): Promise<OpenedModel> {
  const platform = { ...nodeFiles, backends: [backend] };
  return openModelOn(platform, golden.checkpointDir, { media: "huggingface", ...options });
}

function largestDifference(found: Answers, expected: Answers): number {
  let largest = 0;
  for (const [index, rows] of expected.logits.entries()) {
    for (const [step, row] of rows.entries()) {
      const other = found.logits[index]?.[step] as Float32Array;
      const spread = Math.max(...row) - Math.min(...row);
      row.forEach((logit, token) => {
        largest = Math.max(largest, Math.abs(logit - (other[token] as number)) / spread);
      });
    }
  }
  return largest;
}

for (const backend of [referenceBackend, wasmBackend]) {
  for (const checkpoint of goldenCheckpoints()) {
    const cases = goldenCases(checkpoint).filter((golden) => CASES.includes(golden.case));
    const [golden] = cases as [GoldenCase];
    let alone: Promise<Answers> | undefined;
    const expectedAnswers = () => {
      alone ??= open(backend, golden, {}).then((model) => answersOf(model, cases));
      return alone;
    };
    for (const parallel of SHAPES) {
      test(`${checkpoint} on ${backend.name}: ${JSON.stringify(parallel)}`, async () => {
        const loading = open(backend, golden, { parallel });
        if (REFUSED.has(`${checkpoint} ${parallel.tensor}`)) {
          try {
            await loading;
            assert.unreachable();
          } catch (error) {
            assert.match(String(error), new RegExp(`is not a multiple of ${parallel.tensor}`));
          }
          return;
        }
        const model = await loading;
        const { engine } = model.core.parts;
        assert.instance(engine, GroupEngine);
        const planned = countPlanned(engine as GroupEngine);
        const expected = await expectedAnswers();
        const found = await answersOf(model, cases);
        assert.equal((engine as GroupEngine).traffic, planned);
        assert.equal(found.tokenIds, expected.tokenIds);
        if (parallel.tensor === 1) assert.equal(found.logits, expected.logits);
        else {
          const difference = largestDifference(found, expected);
          assert.ok(difference <= TENSOR_TOLERANCE, `${difference}`);
        }
      });
    }
  }
}

/** An arena grows in steps of 1 MiB, tables and a kernel's scratch come beside. */
const ROUNDING = 3 << 20;

for (const parallel of [
  { tensor: 2, encoder: "tensor" },
  { tensor: 2, encoder: "data" },
  { pipeline: 2 },
  { tensor: 2, pipeline: 2 },
] as const) {
  test(`${JSON.stringify(parallel)}: each rank holds what was planned for it`, async () => {
    const [golden] = goldenCases("glm4v-tiny") as [GoldenCase];
    const opened = await open(wasmBackend, golden, { parallel });
    const model = new Model(opened.core, opened.processor, opened.facts);
    const engine = opened.core.parts.engine as GroupEngine;
    const weights = engine.liveBytesByRank;
    // In data mode pictures of one size are dealt evenly, so that each rank has half of them in its largest run.
    const count = "encoder" in parallel && parallel.encoder === "data" ? 80 : 40;
    const images = Array.from({ length: count }, () => ({ width: 170, height: 110 }));
    const { ranks } = model.plan({ images, maxTokens: 4 });
    const image = { data: new Uint8Array(170 * 110 * 3), width: 170, height: 110 };
    const content = images.map(() => ({ type: "image", image }));
    await model.complete([{ role: "user", content }] as never, { maxTokens: 4, repetitionPenalty: 1 });
    const held = engine.liveBytesByRank.map((bytes, rank) => bytes - (weights[rank] as number));
    assert.is(ranks?.length, held.length);
    for (const [rank, plan] of (ranks ?? []).entries()) {
      const bytes = held[rank] as number;
      assert.ok(
        Math.abs(bytes - plan.peakBytes) <= ROUNDING,
        `rank ${rank}: ${bytes}, planned ${plan.peakBytes}`,
      );
      const own = weights[rank] as number;
      assert.ok(
        Math.abs(own - plan.weightBytes) <= ROUNDING,
        `rank ${rank}: ${own}, planned ${plan.weightBytes}`,
      );
    }
    await model.dispose();
  });
}

/** What the programs say that each rank gives, over all runs from now on. */
function countPlanned(engine: GroupEngine): { operations: number; bytes: number }[] {
  const sums = engine.liveBytesByRank.map(() => ({ operations: 0, bytes: 0 }));
  const run = engine.run.bind(engine);
  engine.run = async (executable, bindings, options) => {
    for (const [rank, program] of (executable.program.ranks ?? []).entries()) {
      const sum = sums[rank] as { operations: number; bytes: number };
      for (const { op, operations, bytes } of communicationOf(program, bindings.symbols)) {
        if (op !== "receive") sum.operations += operations;
        sum.bytes += bytes;
      }
    }
    await run(executable, bindings, options);
  };
  return sums;
}

test.run();
