/** What each rank of a device group holds is what its programs' plan says, within 3 %. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openModelOn } from "../../src/api/load-model.ts";
import type { LoadOptions } from "../../src/api/load-options.ts";
import { LoadedModel } from "../../src/api/loaded-model.ts";
import type { GroupEngine } from "../../src/backends/group/group-engine.ts";
import { referenceBackend } from "../../src/backends/reference/backend.ts";
import type { GenerateProgress, Message, RawImage } from "../../src/index.ts";
import { nodeFiles } from "../../src/node-files.ts";
import type { RankPlan } from "../../src/runtime/rank-plan.ts";
import { goldenCases, goldenCheckpoints } from "../golden/load.ts";

const BOUND = 0.03;
const SHAPES: readonly NonNullable<LoadOptions["parallel"]>[] = [
  { tensor: 2 },
  { tensor: 2, encoder: "data" },
  { pipeline: 2 },
  { tensor: 2, pipeline: 2 },
  { encoder: "stage" },
  { tensor: 2, pipeline: 2, encoder: "stage" },
];

const size = { width: 170, height: 110 };
const image: RawImage = { ...size, data: new Uint8Array(3 * size.width * size.height) };
const messages: Message[] = [
  {
    role: "user",
    content: [
      { type: "image", image },
      { type: "text", text: "What is it?" },
    ],
  },
];

for (const name of goldenCheckpoints()) {
  for (const parallel of SHAPES) {
    test(`${name}, ${JSON.stringify(parallel)}`, async () => {
      const { core, processor, facts } = await openModelOn(
        { ...nodeFiles, backends: [referenceBackend] },
        goldenCases(name)[0]?.checkpointDir as string,
        { backend: "reference", parallel, encoderCacheBytes: 0, encoderTokenBudgets: [] },
      );
      const model = new LoadedModel(core, processor, facts);
      const engine = core.parts.engine as GroupEngine;
      const { ranks = [] } = await model.plan({ images: [size], text: "What is it?", maxTokens: 1 });
      assert.equal(
        engine.liveBytesByRank,
        ranks.map(({ weightBytes }) => weightBytes),
      );
      const most = ranks.map(() => 0);
      const watch = (_: GenerateProgress) => {
        for (const [rank, bytes] of engine.liveBytesByRank.entries()) {
          most[rank] = Math.max(most[rank] as number, bytes);
        }
      };
      await model.complete(messages, { maxTokens: 1, repetitionPenalty: 1, onProgress: watch });
      for (const [rank, plan] of (ranks as RankPlan[]).entries()) {
        const { visionActivationBytes, visionInputBytes, decoderActivationBytes } = plan;
        // The reference reads its inputs where they are.
        const copied =
          Math.max(visionActivationBytes + visionInputBytes, decoderActivationBytes) -
          Math.max(visionActivationBytes, decoderActivationBytes);
        const planned = plan.weightBytes + plan.peakBytes - copied;
        const held = most[rank] as number;
        assert.ok(
          Math.abs(held - planned) <= BOUND * planned,
          `rank ${rank} held ${held}, ${planned} were planned: ${JSON.stringify(ranks[rank])}`,
        );
      }
      await model.dispose();
    });
  }
}

test.run();
