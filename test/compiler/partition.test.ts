/** Programs for the ranks of a device group: together they compute what the whole program does, each from its own part. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { chooseWeightFormat } from "../../src/api/weight-dtype.ts";
import { referenceBackend } from "../../src/backends/reference/backend.ts";
import { type Checkpoint, openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { openDirectory } from "../../src/checkpoint/directory.node.ts";
import { resolveWeights } from "../../src/checkpoint/resolve-weights.ts";
import { compileGraph } from "../../src/compiler/compile.ts";
import { Random } from "../../src/conformance/random.ts";
import { type ModelStage, modelStages, type StageName } from "../../src/models/stages.ts";
import type { Program } from "../../src/program/program.ts";
import type { VerifiedProgram } from "../../src/program/verify-program.ts";
import { evaluateDim, type SymbolValues } from "../../src/tensor/dims.ts";
import type { HostArray } from "../../src/tensor/dtype.ts";
import { goldenCases, goldenCheckpoints } from "../golden/load.ts";
import { type Inputs, LockstepRank, runLockstep } from "./lockstep.ts";

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

type Results = ReadonlyMap<string, HostArray>;

function compareResults(found: Results, expected: Results, toTheBit: boolean): void {
  assert.equal([...found.keys()].sort(), [...expected.keys()].sort());
  for (const [name, values] of expected) {
    const others = found.get(name) as HostArray;
    if (toTheBit || values instanceof Int32Array) {
      assert.equal([...others], [...values], name);
      continue;
    }
    const scale = Math.max(...Array.from(values, Math.abs));
    const worst = Math.max(
      ...Array.from(values, (value, index) => Math.abs(value - (others[index] as number))),
    );
    assert.ok(worst <= 1e-5 * scale, `${name}: ${worst / scale} relative`);
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

/** Two sequences that read a prompt with pictures, then a token each; or two pictures. */
function runsOf(program: Program): { symbols: SymbolValues; inputs: Inputs }[] {
  const common = { sequences: 2, blocks: 2, pages: 4, slab: 6, adjusted: 0, changes: 0, masks: 0 };
  const runs =
    program.name === "vision"
      ? [{ symbols: { patches: 24, frames: 2 }, given: { cuSeqlens: [0, 16, 24] } }]
      : [
          {
            symbols: { ...common, tokens: 20, features: 3, logits: 2 },
            given: {
              cuAdjustedIds: [0],
              cuSeqlens: [0, 17, 20],
              contextLens: [17, 3],
              slots: [...Array(17).keys()].map((at) => (at < 16 ? at : 32)).concat([48, 49, 50]),
              blockTable: [0, 2, 3, 1],
              featureSources: [5, 0, 2],
              featureRows: [3, 4, 18],
              logitRows: [16, 19],
            },
          },
          {
            symbols: { ...common, tokens: 2, features: 0, logits: 2 },
            given: {
              cuAdjustedIds: [0],
              cuSeqlens: [0, 1, 2],
              contextLens: [18, 4],
              slots: [33, 51],
              blockTable: [0, 2, 3, 1],
              logitRows: [0, 1],
            },
          },
        ];
  return runs.map(({ symbols, given }) => ({ symbols, inputs: inputsOf(program, symbols, given) }));
}

function inputsOf(
  { buffers }: Program,
  symbols: SymbolValues,
  given: Readonly<Record<string, readonly number[]>>,
): Inputs {
  const fill = ({ name, rows, cols, dtype }: Program["buffers"][number]): HostArray => {
    const count = evaluateDim(rows, symbols) * evaluateDim(cols, symbols);
    const random = new Random(name);
    if (name in given) return Int32Array.from(given[name] as readonly number[]);
    if (name === "adjustedAs") return new Int32Array(count).fill(-1);
    if (dtype === "i32") return Int32Array.from({ length: count }, () => random.integer(300));
    if (name === "samplingSettings")
      return Float32Array.from({ length: count }, (_, at) => [0.8, 0.9, 0][at % 3] as number);
    return Float32Array.from({ length: count }, () => random.normal() / 2);
  };
  return Object.fromEntries(
    buffers.filter(({ kind }) => kind === "input").map((buffer) => [buffer.name, fill(buffer)]),
  );
}

test.run();
