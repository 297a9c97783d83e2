/** Every golden checkpoint over several devices: the logits and tokens of one device. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type OpenedModel, openModelOn } from "../../src/api/load-model.ts";
import type { LoadOptions } from "../../src/api/load-options.ts";
import { LoadedModel } from "../../src/api/loaded-model.ts";
import type { Backend } from "../../src/backends/backend.ts";
import { GroupEngine } from "../../src/backends/group/group-engine.ts";
import { referenceBackend } from "../../src/backends/reference/backend.ts";
import { wasmBackend } from "../../src/backends/wasm/backend.ts";
import { nodeFiles } from "../../src/node-files.ts";
import { type GoldenCase, goldenCases, goldenCheckpoints } from "../golden/load.ts";
import { type Answers, answersOf, compareAnswers, countPlanned, dispose } from "./group-answers.ts";

type Shape = NonNullable<LoadOptions["parallel"]>;
const SHAPES: readonly Shape[] = [
  ...[1, 2, 4].flatMap((tensor) => [1, 2].map((pipeline) => ({ tensor, pipeline }))),
  { tensor: 2, pipeline: 1, encoder: "data" },
  ...[1, 2].flatMap((tensor) => [1, 2].map((pipeline) => ({ tensor, pipeline, encoder: "stage" as const }))),
];
/** Ranks that a checkpoint can not be shared by: heads do not divide. */
const REFUSED = new Set(["glm46v-flash-tiny 4"]);
/** Text, pictures and a video; all that were recorded pass too, and take minutes. */
const CASES = ["text", "two-images", "odd-video"];
const TOKENS = { forced: 3, chosen: 12 };

function open(backend: Backend, golden: GoldenCase, options: LoadOptions): Promise<OpenedModel> {
  const platform = { ...nodeFiles, backends: [backend] };
  return openModelOn(platform, golden.checkpointDir, { media: "huggingface", ...options });
}

for (const backend of [referenceBackend, wasmBackend]) {
  for (const checkpoint of goldenCheckpoints()) {
    const cases = goldenCases(checkpoint).filter((golden) => CASES.includes(golden.case));
    const [golden] = cases as [GoldenCase];
    let alone: Promise<Answers> | undefined;
    const expectedAnswers = () => {
      alone ??= open(backend, golden, {}).then(async (model) => {
        const answers = await answersOf(model, cases, TOKENS);
        await dispose(model);
        return answers;
      });
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
        const found = await answersOf(model, cases, TOKENS);
        assert.equal((engine as GroupEngine).traffic, planned);
        compareAnswers(found, expected, parallel.tensor ?? 1);
        await dispose(model);
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
  { tensor: 2, encoder: "stage" },
] as const) {
  test(`${JSON.stringify(parallel)}: each rank holds what was planned for it`, async () => {
    const [golden] = goldenCases("glm4v-tiny") as [GoldenCase];
    const opened = await open(wasmBackend, golden, { parallel });
    const model = new LoadedModel(opened.core, opened.processor, opened.facts);
    const engine = opened.core.parts.engine as GroupEngine;
    const weights = engine.liveBytesByRank;
    // In data mode pictures of one size are dealt evenly, so that each rank has half of them in its largest run.
    const count = "encoder" in parallel && parallel.encoder === "data" ? 80 : 40;
    const images = Array.from({ length: count }, () => ({ width: 170, height: 110 }));
    const { ranks } = await model.plan({ images, maxTokens: 4 });
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

test.run();
