/** What ranks of a device group need for a request, by their programs. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { chooseWeightFormat } from "../../src/api/weight-dtype.ts";
import { compileGraph } from "../../src/compiler/compile.ts";
import { openProcessor } from "../../src/index.ts";
import { modelStages } from "../../src/models/stages.ts";
import type { StagePrograms } from "../../src/runtime/compile-stages.ts";
import { type PlanOptions, planRequest } from "../../src/runtime/request-plan.ts";
import { goldenCases } from "../golden/load.ts";

const OPTIONS: PlanOptions = {
  maxTokens: 40,
  prefillChunk: 64,
  pageSize: 16,
  activationDType: "f32",
  kvCacheDType: "f32",
};

async function planned(tensor: number, cuts: readonly number[], copies: boolean) {
  const processor = await openProcessor(goldenCases("glm4v-tiny")[0]?.checkpointDir as string);
  const { checkpoint } = processor;
  const stages = modelStages(checkpoint.config, {
    activationDType: "f32",
    weightDType: chooseWeightFormat(checkpoint, {}),
    pageSize: OPTIONS.pageSize,
  });
  const programs = stages.map(({ name, graph }) => {
    const partition =
      tensor * (cuts.length + 1) > 1 ? { tensor, cuts, copies: copies && name === "vision" } : undefined;
    return [name, compileGraph(graph, { partition })] as const;
  });
  const counts = processor.sizes.count({ images: [{ width: 200, height: 120 }], videos: [], textTokens: 30 });
  return planRequest(
    counts,
    Object.fromEntries(programs) as unknown as StagePrograms,
    checkpoint.config,
    OPTIONS,
  );
}

test("one device has no ranks", async () => {
  assert.is((await planned(1, [], false)).ranks, undefined);
});

test("tensor ranks have half of the cache and of most weights; what they say is the same for all", async () => {
  const { ranks = [], ...whole } = await planned(2, [], false);
  assert.is(ranks.length, 2);
  const [first, second] = ranks;
  assert.equal(first, second);
  assert.is(first?.kvCacheBytes, whole.kvCache.bytes / 2);
  const weights = first?.weightBytes ?? 0;
  assert.ok(
    weights > whole.weightBytes / 2 && weights < 0.62 * whole.weightBytes,
    `${weights} of ${whole.weightBytes}`,
  );
  const { encode, prefill, step } = first?.communication ?? {};
  // Two sums a layer and one of the table; the tower has two a block and two in its merger.
  assert.equal(
    prefill?.map(({ op, operations }) => [op, operations]),
    [
      ["all_reduce", 7],
      ["all_gather", 1],
    ],
  );
  assert.is(step?.[0]?.bytes, 7 * 64 * 4);
  assert.is(step?.[1]?.bytes, (384 / 2) * 4);
  assert.equal(
    encode?.map(({ op, operations }) => [op, operations]),
    [["all_reduce", 6]],
  );
});

test("stages have their layers' caches, the first the tower and features, the last logits", async () => {
  const { ranks = [], ...whole } = await planned(1, [2], true);
  const [first, last] = ranks;
  assert.is(first?.kvCacheBytes, (whole.kvCache.bytes * 2) / 3);
  assert.is(last?.kvCacheBytes, whole.kvCache.bytes / 3);
  assert.is((first?.weightBytes ?? 0) + (last?.weightBytes ?? 0), whole.weightBytes);
  assert.ok((first?.visionActivationBytes ?? 0) > 0);
  assert.is(last?.visionActivationBytes, 0);
  const peak = (last?.decoderActivationBytes ?? 0) + (last?.kvCacheBytes ?? 0);
  assert.is(last?.peakBytes, peak + whole.decoder.logitBytes);
  assert.is(last?.featureBytes, 0);
  assert.is(first?.featureBytes, whole.vision.featureBytes);
  assert.is(first?.logitBytes, 0);
  assert.equal(first?.communication.step, [{ op: "send", operations: 1, bytes: 64 * 4 }]);
  assert.equal(last?.communication.encode, []);
});

test("copies of the tower are whole on each rank, and only bring over what each has encoded", async () => {
  const { ranks = [], ...whole } = await planned(2, [], true);
  const [split] = (await planned(2, [], false)).ranks ?? [];
  for (const rank of ranks) assert.ok(rank.weightBytes > (split?.weightBytes ?? 0));
  // There is one picture.
  const [first, second] = ranks;
  assert.equal(first?.communication.encode, [
    { op: "spread", operations: 1, bytes: whole.vision.featureBytes },
  ]);
  assert.equal(second?.communication.encode, []);
  assert.is(first?.visionActivationBytes, whole.vision.activationBytes);
  assert.is(first?.visionInputBytes, whole.vision.inputBytes);
  assert.is(second?.visionActivationBytes, 0);
});

test.run();
