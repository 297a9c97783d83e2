/**
 * What threads bring: the same work on one thread and on several, in turns in one process.
 * `npm run bench -- threads [--threads 2] [--layers 4 --depth 4] [--turns 7]`
 */
import { parseArgs } from "node:util";
import { wasmBackend as alone } from "../src/backends/wasm/backend.ts";
import { compileGraph } from "../src/compiler/compile.ts";
import { weightRows } from "../src/conformance/harness.ts";
import { Random } from "../src/conformance/random.ts";
import { createGraphBuilder } from "../src/graph/builder.ts";
import { textPositions } from "../src/mrope/positions.ts";
import { wasmBackend } from "../src/node-files.ts";
import type { GridThw } from "../src/processor/grid.ts";
import { weightLayouts } from "../src/program/weights.ts";
import { compileStages, stageWeights } from "../src/runtime/compile-stages.ts";
import { Sequence } from "../src/runtime/kv-pool.ts";
import { openStages } from "../src/runtime/open-stages.ts";
import { GREEDY } from "../src/runtime/sampling-rows.ts";
import { noise, row } from "./kernels.ts";
import { blockWeights } from "./model/block-weights.ts";
import { timedModel } from "./model/configs.ts";

const { values: flags } = parseArgs({
  options: {
    threads: { type: "string", default: "2" },
    layers: { type: "string", default: "4" },
    depth: { type: "string", default: "4" },
    turns: { type: "string", default: "7" },
  },
});
const threads = Number(flags.threads);

type Run = () => Promise<unknown>;

/** A linear of 1024 x 1024 x 1024 and one of a page's patches. */
async function products(count: number): Promise<Record<string, Run>> {
  const runs: Record<string, Run> = {};
  for (const [m, n, k] of [
    [1024, 1024, 1024],
    [684, 4096, 1024],
  ] as const) {
    const engine = await wasmBackend.open({ threads: count });
    const builder = createGraphBuilder({ name: "product", activationDType: "f32", weightDType: () => "f32" });
    const y = builder.linear({ x: builder.input("x", [m, k], "f32"), w: builder.weight("w", [n, k]) });
    const program = compileGraph(builder.finish({ y }), { weightLayout: alone.weightLayout });
    const layout = weightLayouts(program).get("w") ?? "plain";
    const stored = await engine.uploadWeight(
      weightRows({ name: "w", shape: [n, k], dtype: "f32", sources: [] }, noise(n * k)),
      layout,
    );
    const executable = engine.load(program, new Map([["w", stored]]));
    const [x, out] = [engine.allocate("f32", m, k), engine.allocate("f32", m, n)];
    engine.write(x, 0, noise(m * k, 3));
    runs[`linear ${m} x ${n} x ${k}`] = () => engine.run(executable, { symbols: {}, buffers: { x, y: out } });
  }
  return runs;
}

const CONTEXT = 512;
const PROMPT = 256;
/** Patches on a side of the page. */
const SIDE = 36;

/** Some layers of GLM-OCR's released sizes with random bf16 weights. */
async function model(count: number): Promise<Record<string, Run>> {
  const { config } = timedModel("glm-ocr", Number(flags.layers), Number(flags.depth));
  const compiled = compileStages(wasmBackend, config, { weightDType: () => "bf16" });
  const rows = stageWeights(compiled).map(blockWeights());
  const { decoder, encoder, pool } = await openStages(wasmBackend, compiled, rows, {
    engine: { threads: count },
  });
  const sequence = new Sequence(pool);
  sequence.reserve(CONTEXT + 1);
  const forward = (first: number, tokens: number) => {
    sequence.length = first;
    const inputIds = Array.from({ length: tokens }, (_, index) => (index * 31 + 7) % 40);
    return decoder.forward([
      { sequence, inputIds, positionIds: textPositions(first, tokens, 0), sampling: [GREEDY] },
    ]);
  };
  await forward(0, CONTEXT);
  const { patchSize, inChannels, temporalPatchSize } = config.vision;
  const gridThw: GridThw = [1, SIDE, SIDE];
  const length = SIDE * SIDE * inChannels * temporalPatchSize * patchSize ** 2;
  const random = new Random("page");
  const pixelValues = Float32Array.from({ length }, () => random.normal());
  return {
    [`vision, ${SIDE * SIDE} patches`]: async () =>
      (await encoder.encode([{ gridThw, pixelValues }])).release(),
    [`prefill, ${PROMPT} tokens`]: () => forward(0, PROMPT),
    [`decode behind ${CONTEXT}`]: () => forward(CONTEXT, 1),
  };
}

interface Measured {
  readonly wall: number;
  readonly processor: number;
}

async function once(run: Run): Promise<Measured> {
  const [before, began] = [process.cpuUsage(), performance.now()];
  await run();
  const wall = performance.now() - began;
  const { user, system } = process.cpuUsage(before);
  return { wall, processor: (user + system) / 1000 };
}

function median(all: readonly Measured[], of: keyof Measured): number {
  return all.map((one) => one[of]).sort((a, b) => a - b)[all.length >> 1] as number;
}

const [one, several] = [
  { ...(await products(1)), ...(await model(1)) },
  { ...(await products(threads)), ...(await model(threads)) },
];
console.log((await wasmBackend.probe()) as object);
console.log(row("ms", "1 thread", `${threads} threads`, "ratio", "processor"));
for (const [name, run] of Object.entries(one)) {
  const pair = [run, several[name] as Run] as const;
  const found: [Measured[], Measured[]] = [[], []];
  for (let turn = -2; turn < Number(flags.turns); turn++) {
    for (const [index, each] of pair.entries()) {
      const measured = await once(each);
      if (turn >= 0) found[index]?.push(measured);
    }
  }
  const [a, b] = found.map((all) => median(all, "wall")) as [number, number];
  const [c, d] = found.map((all) => median(all, "processor")) as [number, number];
  // Above 1: waiting, and what threads take from each other.
  console.log(row(name, a, b, (a / b).toFixed(2), (d / c).toFixed(2)));
}
process.exit();
