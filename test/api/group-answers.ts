/** What golden prompts are answered with, by one device and by several, and what their programs say that ranks give. */
import * as assert from "uvu/assert";
import type { OpenedModel } from "../../src/api/load-model.ts";
import { LoadedModel } from "../../src/api/loaded-model.ts";
import type { GroupEngine } from "../../src/backends/group/group-engine.ts";
import { communicationOf } from "../../src/program/communication.ts";
import { storageBytes } from "../../src/tensor/storage.ts";
import { forcedLogits } from "../../src/verify/forced-answer.ts";
import type { GoldenCase } from "../golden/load.ts";

/** Of the spread of a row's logits: sums over parts come in another order. */
const TENSOR_TOLERANCE = 1e-5;

export interface Answers {
  /** By case: logits [vocab] behind the prompt and each token. */
  readonly logits: readonly (readonly Float32Array[])[];
  readonly tokenIds: readonly (readonly number[])[];
}

/** @param tokens of each case: that are forced and judged by their logits, and that are chosen */
export async function answersOf(
  { core, processor, facts }: OpenedModel,
  cases: readonly GoldenCase[],
  tokens: { readonly forced: number; readonly chosen: number },
): Promise<Answers> {
  const model = new LoadedModel(core, processor, facts);
  const logits: Float32Array[][] = [];
  const options = (golden: GoldenCase) => ({ templateVariables: golden.templateOptions });
  for (const golden of cases) {
    const inputs = await processor.process(golden.messages as never, options(golden));
    logits.push(await forcedLogits(core, inputs, golden.greedyIds.slice(0, tokens.forced)));
  }
  // All at a time, so that steps hold several and are cut into micro-batches.
  const results = await Promise.all(
    cases.map((golden) =>
      model.complete(golden.messages as never, {
        ...options(golden),
        maxTokens: tokens.chosen,
        repetitionPenalty: 1,
      }),
    ),
  );
  return { logits, tokenIds: results.map((result) => result.tokenIds) };
}

/** Nothing stays on the devices. */
export async function dispose({ core }: OpenedModel): Promise<void> {
  await core.dispose();
  assert.is(core.parts.engine.liveBytes, 0);
}

/** The same tokens; logits of which sums over parts are within the tolerance, the others the same to the bit. */
export function compareAnswers(found: Answers, expected: Answers, tensor: number): void {
  assert.equal(found.tokenIds, expected.tokenIds);
  if (tensor === 1) {
    assert.equal(found.logits, expected.logits);
    return;
  }
  const difference = largestDifference(found, expected);
  assert.ok(difference <= TENSOR_TOLERANCE, `${difference}`);
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

/** What the programs say that each rank gives, and the features that are brought from one to others, over all runs from now on. */
export function countPlanned(engine: GroupEngine): { operations: number; bytes: number }[] {
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
  const { sideBySide } = engine;
  const spread = sideBySide.spread.bind(sideBySide);
  sideBySide.spread = async (to, firstRow, from, rank) => {
    const sum = sums[rank] as { operations: number; bytes: number };
    sum.operations++;
    sum.bytes += storageBytes(from.tensor.dtype, from.rows, from.tensor.cols);
    await spread(to, firstRow, from, rank);
  };
  return sums;
}
