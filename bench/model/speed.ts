/** Speed of a whole model with random weights on one backend: starting, decoding, prefill, vision. */
import type { CacheStorage } from "../../src/api/compile-checkpoint.ts";
import { chooseWeightFormat } from "../../src/api/weight-dtype.ts";
import type { Backend } from "../../src/backends/backend.ts";
import type { ModelConfig, VisionConfig } from "../../src/config/types.ts";
import { type EngineStatistics, engineStatistics, type Timing, timeRuns } from "../../src/measure/clock.ts";
import { decodePass, type Pass, prefillPass, visionPass } from "../../src/measure/passes.ts";
import { operationsOf, sumWork } from "../../src/measure/work.ts";
import { textPositions } from "../../src/mrope/positions.ts";
import { type GridThw, numPatches } from "../../src/processor/grid.ts";
import { chooseBackend } from "../../src/runtime/choose-backend.ts";
import { compileStages, stageWeights } from "../../src/runtime/compile-stages.ts";
import { Sequence } from "../../src/runtime/kv-pool.ts";
import { openStages, type Stages } from "../../src/runtime/open-stages.ts";
import { GREEDY } from "../../src/runtime/sampling-rows.ts";
import { isRoundedFormat, type WeightFormat } from "../../src/tensor/storage.ts";
import { blockWeights } from "./block-weights.ts";
import { clockOf } from "./clock.ts";

export interface SpeedOptions extends CacheStorage {
  /** As `dtype` of loadModel has it for a checkpoint in bf16. */
  readonly weights: WeightFormat;
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

/** Timed steps of decoding. */
const MOST_STEPS = 60;
const MOST_PASSES = 10;

export async function measureSpeed(
  backend: Backend,
  config: ModelConfig,
  options: SpeedOptions,
): Promise<Speed> {
  const { stages, ...startUp } = await start(backend, config, options);
  const { context, prefill: tokens, page, budgetMs, log } = options;
  const timed = async (pass: Pass, maxRuns: number) => {
    const { engine } = stages;
    const timing = await timeRuns(pass.run, { engine, budgetMs, maxRuns, clock: clockOf(backend.name) });
    await pass.check();
    pass.release();
    return { timing, work: sumWork(pass.work) };
  };
  try {
    const firstStepMs = await firstStep(stages);
    log(`started: weights ${gb(startUp.weightBytes)} GB in ${startUp.loadMs.toFixed(0)} ms`);
    const decode: DecodeSpeed[] = [];
    for (const batch of options.batches) {
      const { timing, work } = await timed(decodePass(stages, { context, batch }), MOST_STEPS);
      const tokensPerSecond = (1000 * batch) / timing.median;
      decode.push({ ...timing, batch, context, tokensPerSecond, bytes: work.bytes });
      log(`decode, batch ${batch}: ${timing.median.toFixed(2)} ms a step`);
    }
    const reading = await timed(prefillPass(stages, { tokens, chunk: tokens }), MOST_PASSES);
    const prefill = { ...reading.timing, size: tokens, operations: operationsOf(reading.work) };
    log(`prefill of ${tokens}: ${prefill.median.toFixed(1)} ms`);
    const gridThw = pageGrid(page, config.vision);
    const looking = await timed(visionPass(stages, gridThw), MOST_PASSES);
    const vision = {
      ...looking.timing,
      size: numPatches(gridThw),
      operations: operationsOf(looking.work),
    };
    log(`page of ${vision.size} patches: ${vision.median.toFixed(1)} ms`);
    const { liveBytes } = stages.engine;
    const statistics = engineStatistics(stages.engine);
    return { startUp: { ...startUp, firstStepMs }, decode, prefill, vision, liveBytes, statistics };
  } finally {
    stages.engine.dispose();
  }
}

/** As asked; of formats that can not be asked for, those of a checkpoint that is all in one. */
function weightChoice(weights: WeightFormat | undefined) {
  if (weights === undefined || isRoundedFormat(weights)) {
    return chooseWeightFormat({ tensorDType: () => "bf16" }, { dtype: weights });
  }
  return chooseWeightFormat({ tensorDType: () => weights }, {});
}

async function start(backend: Backend, config: ModelConfig, { weights, kvCacheDtype }: SpeedOptions) {
  await chooseBackend([backend], backend.name);
  const begin = performance.now();
  const compiled = compileStages(backend, config, {
    weightDType: weightChoice(weights),
    kvCacheDType: kvCacheDtype,
  });
  const compileMs = performance.now() - begin;
  // Making them is no part of starting: a checkpoint's come from a file.
  const rows = stageWeights(compiled).map(blockWeights());
  const loading = performance.now();
  const stages = await openStages(backend, compiled, rows);
  const loadMs = performance.now() - loading;
  return { stages, compileMs, loadMs, weightBytes: stages.engine.liveBytes };
}

async function firstStep({ decoder, pool }: Stages): Promise<number> {
  const sequence = new Sequence(pool);
  const begin = performance.now();
  await decoder.forward([
    { sequence, inputIds: [1], positionIds: textPositions(0, 1, 0), sampling: [GREEDY] },
  ]);
  sequence.release();
  return performance.now() - begin;
}

/** Of a square page of about so many pixels a side. */
function pageGrid(page: number, { patchSize, spatialMergeSize }: VisionConfig): GridThw {
  const side = Math.round(page / (patchSize * spatialMergeSize)) * spatialMergeSize;
  return [1, side, side];
}

function gb(bytes: number): string {
  return (bytes / 1e9).toFixed(2);
}
