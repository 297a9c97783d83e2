/** Speed of a whole model with random weights on one backend: starting, decoding, prefill, vision. */
import type { Backend } from "../../src/backends/backend.ts";
import type { ModelConfig } from "../../src/config/types.ts";
import { Random } from "../../src/conformance/random.ts";
import { textPositions } from "../../src/mrope/positions.ts";
import { type GridThw, numMergedTokens, numPatches } from "../../src/processor/grid.ts";
import type { Program } from "../../src/program/program.ts";
import { chooseBackend } from "../../src/runtime/choose-backend.ts";
import { compileStages, stagePrograms, stageWeights } from "../../src/runtime/compile-stages.ts";
import { answerOf } from "../../src/runtime/decoder.ts";
import { type KvPool, Sequence } from "../../src/runtime/kv-pool.ts";
import { openStages, type Stages } from "../../src/runtime/open-stages.ts";
import { GREEDY } from "../../src/runtime/sampling-rows.ts";
import { fromFloat32 } from "../../src/tensor/convert.ts";
import type { WeightDType } from "../../src/tensor/dtype.ts";
import { blockWeights } from "./block-weights.ts";
import { type EngineStatistics, engineStatistics, type Timing, timeRuns } from "./clock.ts";
import { bytesRead, operations } from "./work.ts";

export interface SpeedOptions {
  readonly weights: WeightDType;
  /** Sequences that are decoded together. */
  readonly batches: readonly number[];
  /** Tokens in the cache of each sequence that is decoded. */
  readonly context: number;
  readonly prefill: number;
  /** Pixels on a side of the square page. */
  readonly page: number;
  /** For each measurement. */
  readonly budgetMs: number;
  readonly log: (line: string) => void;
}

export interface StartUp {
  /** Graphs built, fused, planned and encoded. */
  readonly compileMs: number;
  /** The device opened and all weights stored. */
  readonly loadMs: number;
  readonly weightBytes: number;
  /** The first step of the decoder: what is loaded and planned late is in it. */
  readonly firstStepMs: number;
}

export interface DecodeSpeed extends Timing {
  readonly batch: number;
  readonly context: number;
  readonly tokensPerSecond: number;
  /** Weights once, and the caches. */
  readonly bytes: number;
}

export interface PassSpeed extends Timing {
  /** Tokens of a prompt, or patches of a page. */
  readonly size: number;
  readonly operations: number;
}

export interface Speed {
  readonly startUp: StartUp;
  readonly decode: readonly DecodeSpeed[];
  readonly prefill: PassSpeed;
  readonly vision: PassSpeed;
  readonly liveBytes: number;
  /** Over all runs, those that were not counted too. */
  readonly statistics: EngineStatistics | null;
}

/** Timed steps of decoding; sequences grow by as many tokens. */
const MOST_STEPS = 60;
const MOST_PASSES = 10;
const PAGES_AT_ONCE = 32;

export async function measureSpeed(
  backend: Backend,
  config: ModelConfig,
  options: SpeedOptions,
): Promise<Speed> {
  const { stages, programs, ...startUp } = await start(backend, config, options);
  try {
    const firstStepMs = await firstStep(stages);
    options.log(`started: weights ${gb(startUp.weightBytes)} GB in ${startUp.loadMs.toFixed(0)} ms`);
    const decode: DecodeSpeed[] = [];
    for (const batch of options.batches) {
      const speed = await timeDecoding(stages, programs.decoder, batch, options);
      decode.push(speed);
      options.log(`decode, batch ${batch}: ${speed.median.toFixed(2)} ms a step`);
    }
    const prefill = await timePrefill(stages, programs.decoder, options);
    options.log(`prefill of ${prefill.size}: ${prefill.median.toFixed(1)} ms`);
    const vision = await timeVision(stages, programs.vision, config, options);
    options.log(`page of ${vision.size} patches: ${vision.median.toFixed(1)} ms`);
    const { liveBytes } = stages.engine;
    const statistics = engineStatistics(stages.engine);
    return { startUp: { ...startUp, firstStepMs }, decode, prefill, vision, liveBytes, statistics };
  } finally {
    stages.engine.dispose();
  }
}

async function start(backend: Backend, config: ModelConfig, { weights }: SpeedOptions) {
  await chooseBackend([backend], backend.name);
  const begin = performance.now();
  const compiled = compileStages(backend, config, { weightDType: () => weights });
  const compileMs = performance.now() - begin;
  // Making them is no part of starting: a checkpoint's come from a file.
  const rows = stageWeights(compiled).map(blockWeights());
  const loading = performance.now();
  const stages = await openStages(backend, compiled, rows);
  const loadMs = performance.now() - loading;
  return { stages, programs: stagePrograms(stages), compileMs, loadMs, weightBytes: stages.loadedBytes };
}

async function firstStep({ decoder, pool }: Stages): Promise<number> {
  const sequence = new Sequence(pool);
  const begin = performance.now();
  await decoder.forward([{ sequence, inputIds: [1], positionIds: textPositions(0, 1, 0), sampling: GREEDY }]);
  sequence.release();
  return performance.now() - begin;
}

/** Steps of greedy decoding over caches full of noise. */
async function timeDecoding(
  { engine, decoder, pool }: Stages,
  program: Program,
  batch: number,
  { context, budgetMs }: SpeedOptions,
): Promise<DecodeSpeed> {
  const sequences = await filledSequences(engine, pool, batch, context + MOST_STEPS + 2);
  let tokens = sequences.map((_, index) => (index % 40) + 1);
  for (const sequence of sequences) sequence.length = context - 1;
  const step = async (wantsLogits = false) => {
    const slices = sequences.map((sequence, index) => ({
      sequence,
      inputIds: [tokens[index] as number],
      positionIds: textPositions(sequence.length, 1, 0),
      wantsLogits,
      sampling: GREEDY,
    }));
    const answers = (await decoder.forward(slices)).map(answerOf);
    tokens = answers.map(({ token }) => token as number);
    return answers.map(({ logits }) => logits);
  };
  const timing = await timeRuns(() => step(), { engine, budgetMs, maxRuns: MOST_STEPS });
  checkLogits(await step(true));
  for (const sequence of sequences) sequence.release();
  const extents = sequences.map(() => ({ queries: 1, context }));
  return {
    ...timing,
    batch,
    context,
    tokensPerSecond: (1000 * batch) / timing.median,
    bytes: bytesRead(program, batch, extents),
  };
}

/** Sequences with room for `length` tokens, and every page of the pool filled with small noise. */
async function filledSequences(engine: Stages["engine"], pool: KvPool, count: number, length: number) {
  const pages = pool.take(count * Math.ceil(length / pool.layout.pageSize));
  pool.giveBack(pages);
  const random = new Random("cache");
  const { pageElements, dtype } = pool.layout;
  const noise = Float32Array.from({ length: PAGES_AT_ONCE * pageElements }, () => 0.5 * random.normal());
  const values = fromFloat32(dtype, noise);
  for (const tensor of Object.values(pool.bindings())) {
    for (let row = 0; row < tensor.rows; row += PAGES_AT_ONCE) {
      const rows = Math.min(PAGES_AT_ONCE, tensor.rows - row);
      engine.write(tensor, row, values.subarray(0, rows * pageElements));
    }
  }
  const sequences = Array.from({ length: count }, () => new Sequence(pool));
  for (const sequence of sequences) sequence.reserve(length);
  return sequences;
}

async function timePrefill(
  { engine, decoder, pool }: Stages,
  program: Program,
  { prefill, budgetMs }: SpeedOptions,
): Promise<PassSpeed> {
  const sequence = new Sequence(pool);
  sequence.reserve(prefill);
  const slice = {
    sequence,
    inputIds: Array.from({ length: prefill }, (_, index) => (index * 31 + 7) % 40),
    positionIds: textPositions(0, prefill, 0),
    sampling: GREEDY,
  };
  const run = async (wantsLogits = false) => {
    sequence.length = 0;
    return (await decoder.forward([{ ...slice, wantsLogits }])).map((result) => answerOf(result).logits);
  };
  const timing = await timeRuns(() => run(), { engine, budgetMs, maxRuns: MOST_PASSES });
  checkLogits(await run(true));
  sequence.release();
  const symbols = {
    tokens: prefill,
    sequences: 1,
    blocks: Math.ceil(prefill / pool.layout.pageSize),
    pages: pool.numPages,
    slab: 0,
    features: 0,
    logits: 1,
  };
  return {
    ...timing,
    size: prefill,
    operations: operations(program, symbols, [{ queries: prefill, context: prefill }]),
  };
}

async function timeVision(
  { engine, encoder }: Stages,
  program: Program,
  { vision }: ModelConfig,
  { page, budgetMs }: SpeedOptions,
): Promise<PassSpeed> {
  const factor = vision.patchSize * vision.spatialMergeSize;
  const side = Math.round(page / factor) * vision.spatialMergeSize;
  const gridThw: GridThw = [1, side, side];
  const patches = numPatches(gridThw);
  const length = patches * vision.inChannels * vision.temporalPatchSize * vision.patchSize ** 2;
  const random = new Random("page");
  const noise = Float32Array.from({ length: Math.min(length, 1 << 20) }, () => random.normal());
  const pixelValues = Float32Array.from({ length }, (_, index) => noise[index % noise.length] as number);
  const run = async () => (await encoder.encode([{ gridThw, pixelValues }])).release();
  const timing = await timeRuns(run, { engine, budgetMs, maxRuns: MOST_PASSES });
  const features = await encoder.encode([{ gridThw, pixelValues }]);
  const rows = numMergedTokens(gridThw, vision.spatialMergeSize);
  const last = features.deviceRows(rows - 1);
  const values = await engine.read(last.tensor, last.firstRow, 1);
  features.release();
  if (values.every((value) => value === values[0]))
    throw new Error("The features of the page are all the same.");
  return {
    ...timing,
    size: patches,
    operations: operations(program, { patches, frames: 1 }, [{ queries: patches, context: patches }]),
  };
}

/** @throws when a value is not finite, or all are the same */
function checkLogits(logits: readonly (Float32Array | undefined)[]): void {
  for (const [index, values] of logits.entries()) {
    if (!values?.every(Number.isFinite) || values.every((value) => value === values[0])) {
      throw new Error(
        `The logits of sequence ${index} are not finite, or all the same; the times mean nothing.`,
      );
    }
  }
}

function gb(bytes: number): string {
  return (bytes / 1e9).toFixed(2);
}
