/** Programs for the ranks of a device group: together they compute what the whole program does, each from its own part. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { chooseWeightFormat } from "../../src/api/weight-dtype.ts";
import { referenceBackend } from "../../src/backends/reference/backend.ts";
import { type Checkpoint, openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { openDirectory } from "../../src/checkpoint/directory.node.ts";
import { resolveWeights } from "../../src/checkpoint/resolve-weights.ts";
import { compileGraph } from "../../src/compiler/compile.ts";
import { type ModelStage, modelStages, type StageName } from "../../src/models/stages.ts";
import type { VerifiedProgram } from "../../src/program/verify-program.ts";
import { goldenCases, goldenCheckpoints } from "../golden/load.ts";
import { LockstepRank, runLockstep } from "./lockstep.ts";
import { compareResults, type Results, runsOf } from "./rank-runs.ts";

const LAYOUTS = [1, 2, 4].flatMap((tensor) => [1, 2].map((pipeline) => ({ tensor, pipeline })));

/** What can not be split over so many ranks, and why. */
const REFUSED: Readonly<Record<string, RegExp>> = {
  "glm46v-flash-tiny decoder 4": /numHeads 2 \(.*\) is not a multiple of 4/,
  "glm4v-tiny vision 4": /numHeads 2 \(.*\) is not a multiple of 4/,
  "glm4v_moe-tiny vision 4": /numHeads 2 \(.*\) is not a multiple of 4/,
  "glm_ocr-tiny vision 2": /numHeads 3 \(.*\) is not a multiple of 2/,
  "glm_ocr-tiny vision 4": /numHeads 3 \(.*\) is not a multiple of 4/,
};

for (const name of goldenCheckpoints()) {
  for (const stage of ["vision", "decoder"] as const) {
    for (const { tensor, pipeline } of LAYOUTS) {
      if (tensor * pipeline === 1) continue;
      test(`${name} ${stage}: ${tensor} tensor ranks and ${pipeline} stages compute what one device does`, async () => {
        const checkpoint = await open(name);
        const refusal = REFUSED[`${name} ${stage} ${tensor}`];
        if (refusal) {
          assert.throws(() => compile(checkpoint, stage, { tensor, pipeline }), refusal);
          return;
        }
        const program = compile(checkpoint, stage, { tensor, pipeline });
        assert.is(program.ranks?.length, tensor * pipeline);
        const whole = await openRanks(checkpoint, [program]);
        const parts = await openRanks(checkpoint, program.ranks ?? []);
        for (const { symbols, inputs } of runsOf(program)) {
          const [expected] = runLockstep(whole, 1, symbols, inputs);
          const found = runLockstep(parts, tensor, symbols, inputs);
          const given = found.filter((results) => results.size > 0);
          assert.is(given.length, tensor);
          for (const results of given) compareResults(results, expected as Results, tensor === 1);
        }
      });
    }
  }
}

async function open(name: string): Promise<Checkpoint> {
  return openCheckpoint(await openDirectory(goldenCases(name)[0]?.checkpointDir as string));
}

function compile(
  checkpoint: Checkpoint,
  stage: StageName,
  { tensor, pipeline }: { readonly tensor: number; readonly pipeline: number },
): VerifiedProgram {
  const weightDType = chooseWeightFormat(checkpoint, {});
  const stages = modelStages(checkpoint.config, { activationDType: "f32", weightDType, pageSize: 16 });
  const { graph } = stages.find(({ name }) => name === stage) as ModelStage;
  return compileGraph(graph, {
    supports: (query) => referenceBackend.supports(query).ok,
    partition: { tensor, cuts: pipeline === 1 ? [] : [1] },
  });
}

async function openRanks(
  checkpoint: Checkpoint,
  programs: readonly VerifiedProgram[],
): Promise<LockstepRank[]> {
  const ranks = programs.map((program) => new LockstepRank(program));
  for (const rank of ranks) {
    const { weights } = resolveWeights(checkpoint, rank.program.weights);
    const byName = new Map(weights.map((rows) => [rows.spec.name, rows]));
    await rank.load(({ name }) => byName.get(name) as (typeof weights)[number]);
  }
  return ranks;
}

test.run();
