/**
 * What engines in workers of their own bring: the same work on one engine with several threads, and on as many engines with
 * one thread each that share the model, in turns in one process.
 * `npm run bench -- groups [--devices 2] [--layers 4 --depth 4] [--turns 7]`
 */
import { parseArgs } from "node:util";
import type { Backend } from "../src/backends/backend.ts";
import { createGroupBackend } from "../src/backends/group/backend.ts";
import { textPositions } from "../src/mrope/positions.ts";
import { wasmBackend } from "../src/node-files.ts";
import type { GridThw } from "../src/processor/grid.ts";
import { compileStages, type GroupStages, stageWeights } from "../src/runtime/compile-stages.ts";
import { Sequence } from "../src/runtime/kv-pool.ts";
import { openStages } from "../src/runtime/open-stages.ts";
import { GREEDY } from "../src/runtime/sampling-rows.ts";
import { noise, row } from "./kernels.ts";
import { blockWeights } from "./model/block-weights.ts";
import { timedModel } from "./model/configs.ts";

const { values: flags } = parseArgs({
  options: {
    devices: { type: "string", default: "2" },
    layers: { type: "string", default: "4" },
    depth: { type: "string", default: "4" },
    turns: { type: "string", default: "7" },
  },
});
const count = Number(flags.devices);
const CONTEXT = 512;
const PROMPT = 256;
const COMPANY = 8;
/** Patches on a side of a page. */
const SIDE = 24;

type Run = () => Promise<unknown>;

/** Some layers of GLM-OCR's released sizes with random bf16 weights. */
async function model(backend: Backend, threads: number, group?: GroupStages): Promise<Record<string, Run>> {
  const { config } = timedModel("glm-ocr", Number(flags.layers), Number(flags.depth));
  const compiled = compileStages(backend, config, { weightDType: () => "bf16", group });
  const rows = stageWeights(compiled).map(blockWeights());
  const { decoder, encoder, pool } = await openStages(backend, compiled, rows, { engine: { threads } });
  const sequences = Array.from({ length: COMPANY }, () => new Sequence(pool));
  for (const sequence of sequences) sequence.reserve(CONTEXT + 1);
  const forward = (first: number, tokens: number, some: readonly Sequence[]) => {
    const inputIds = Array.from({ length: tokens }, (_, index) => (index * 31 + 7) % 40);
    const slices = some.map((sequence) => {
      sequence.length = first;
      return { sequence, inputIds, positionIds: textPositions(first, tokens, 0), sampling: [GREEDY] };
    });
    return decoder.forward(slices);
  };
  for (const sequence of sequences) await forward(0, CONTEXT, [sequence]);
  const { patchSize, inChannels, temporalPatchSize } = config.vision;
  const gridThw: GridThw = [1, SIDE, SIDE];
  const pixelValues = noise(SIDE * SIDE * inChannels * temporalPatchSize * patchSize ** 2);
  const pages = Array.from({ length: count }, () => ({ gridThw, pixelValues }));
  return {
    [`vision, ${count} x ${SIDE * SIDE} patches`]: async () => (await encoder.encode(pages)).release(),
    [`prefill, ${PROMPT} tokens`]: () => forward(0, PROMPT, sequences.slice(0, 1)),
    [`decode behind ${CONTEXT}`]: () => forward(CONTEXT, 1, sequences.slice(0, 1)),
    [`the same of ${COMPANY} sequences`]: () => forward(CONTEXT, 1, sequences),
  };
}

function grouped(shape: GroupStages): Promise<Record<string, Run>> {
  const devices = Array.from({ length: count }, (_, device) => device);
  return model(createGroupBackend(wasmBackend, { ...shape, devices, deadlineMs: 600_000 }), 1, shape);
}

async function milliseconds(run: Run): Promise<number> {
  const began = performance.now();
  await run();
  return performance.now() - began;
}

const ways = {
  [`${count} threads`]: await model(wasmBackend, count),
  tensor: await grouped({ tensor: count, pipeline: 1, encoder: "tensor" }),
  data: await grouped({ tensor: count, pipeline: 1, encoder: "data" }),
  pipeline: await grouped({ tensor: 1, pipeline: count }),
};
console.log(row("best ms", ...Object.keys(ways)));
const [first] = Object.values(ways) as [Record<string, Run>];
for (const name of Object.keys(first)) {
  const best = Object.values(ways).map(() => Number.POSITIVE_INFINITY);
  for (let turn = -2; turn < Number(flags.turns); turn++) {
    for (const [index, runs] of Object.values(ways).entries()) {
      const taken = await milliseconds(runs[name] as Run);
      if (turn >= 0) best[index] = Math.min(best[index] as number, taken);
    }
  }
  console.log(row(name, ...best));
}
process.exit();
