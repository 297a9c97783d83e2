/** The stages of a model on a device: programs loaded, weights uploaded, an empty KV pool. */
import type { Backend, DeviceWeight, Engine, EngineOptions, WeightRows } from "../backends/backend.ts";
import type { EncoderBudget } from "../mrope/vision-metadata.ts";
import type { VerifiedProgram } from "../program/verify-program.ts";
import { weightLayouts } from "../program/weights.ts";
import { storageBytes } from "../tensor/storage.ts";
import { type CompiledModel, DEFAULT_PAGE_SIZE, stagePrograms } from "./compile-stages.ts";
import { deviceShares, type KvCacheSize, type LoadMemory, loadMemory, storedBytes } from "./device-memory.ts";
import { EncoderCache } from "./encoder-cache.ts";
import { FeatureSlab } from "./feature-slab.ts";
import { KvPool, kvPoolLayout, Sequence } from "./kv-pool.ts";
import { leastRequestBytes, usualRequestBytes } from "./request-plan.ts";
import { joinDrafting, openRunners, type SharedMemory, type StageRunners } from "./stage-runners.ts";
import { VisionEncoder } from "./vision-encoder.ts";
import { comparedRows, mayShare } from "./weight-copies.ts";
import { WeightsIdentity } from "./weights-identity.ts";

export interface Stages extends CompiledModel, SharedMemory, StageRunners {
  /** The model's weights on the device, by the names its programs bind them with. */
  readonly weights: ReadonlyMap<string, DeviceWeight>;
  /** What tells its weights from those of other models. */
  readonly weightsIdentity: WeightsIdentity;
  /** Bytes of the weights as they were read. */
  readonly loadedBytes: number;
}

export interface OpenOptions {
  readonly engine?: EngineOptions | undefined;
  /** Memory to take for the KV cache at once. */
  readonly kvCache?: KvCacheSize | undefined;
  /** Sizes that the encoder pads its runs to, ascending; default: none. */
  readonly encoderBudgets?: readonly EncoderBudget[] | undefined;
  /** Most bytes of features that are kept for later requests; default 0. */
  readonly encoderCacheBytes?: number | undefined;
  /** Before the first weight and after each; may throw to stop. */
  readonly onProgress?: ((progress: LoadProgress) => void) | undefined;
  /** Ends a read that waits. */
  readonly signal?: AbortSignal | undefined;
}

/** How far loading weights is. */
export interface LoadProgress {
  /** Bytes of weights as they are read: of tensors of different types that make one weight, and of merged ones, in f32. */
  readonly loadedBytes: number;
  /** Bytes of all weights. */
  readonly totalBytes: number;
  /** The weight that was just loaded; absent in the first report, before any. */
  readonly weight?: string;
  /** What loading takes of the device: it fits, as far as the device can tell. */
  readonly memory: LoadMemory;
}

/**
 * @param rows of every weight that the stages ask for, in the order to upload them.
 * @throws OUT_OF_MEMORY, BACKEND_UNAVAILABLE, WEIGHTS_INVALID, CHECKPOINT_INVALID and what `onProgress` throws; nothing
 * stays allocated then.
 */
export async function openStages(
  backend: Backend,
  model: CompiledModel,
  rows: readonly WeightRows[],
  {
    engine: engineOptions,
    kvCache,
    encoderBudgets = [],
    encoderCacheBytes = 0,
    onProgress,
    signal,
  }: OpenOptions = {},
): Promise<Stages> {
  const { config } = model;
  const { activationDType } = backend;
  const hasMtp = model.stages.some(({ name }) => name === "drafting");
  const layout = kvPoolLayout(config.text, DEFAULT_PAGE_SIZE, model.kvCacheDType, hasMtp);
  const weightBytes = storedBytes(rows.map(({ spec }) => spec));
  const demand = {
    loaded: weightBytes + (kvCache && "bytes" in kvCache ? kvCache.bytes : 0),
    request: usualRequestBytes(stagePrograms(model), config, layout, backend.prefillChunk),
    least: leastRequestBytes(stagePrograms(model), config, layout),
  };
  const programs = model.stages.map(({ program }) => program);
  const engine = await backend.open({ ...engineOptions, demand, programs });
  try {
    // Who says what the cache is to take has said how much of it is to be kept.
    const pool = new KvPool(engine, layout, { growsToKeep: kvCache === undefined });
    const { pages, ...memory } = loadMemory(engine, deviceShares(programs), kvCache);
    const loadedBytes = rows.reduce((sum, weight) => sum + checkpointBytes(weight), 0);
    const weightsIdentity = new WeightsIdentity();
    const heeding = rows.map((weight) => weightsIdentity.watch(withSignal(weight, signal)));
    const weights = await uploadWeights(engine, programs, heeding, model.copies, (progress) =>
      onProgress?.({ ...progress, totalBytes: loadedBytes, memory }),
    );
    pool.reserve(pages);
    const slab = new FeatureSlab(engine, activationDType, config.text.hiddenSize);
    const encoderCache = new EncoderCache(engine, slab, encoderCacheBytes);
    const shared = { engine, config, pool, slab, encoderBudgets, encoderCache };
    // All stages, so all runners, but for the encoder of a model that reads no pictures.
    const blind = { encoder: new VisionEncoder(engine, null, config.vision, slab) };
    const runners = { ...blind, ...openRunners(model.stages, weights, shared) } as StageRunners;
    joinDrafting(runners);
    refuseWithoutRoom(shared, runners);
    return { ...model, ...shared, ...runners, weights, weightsIdentity, loadedBytes };
  } catch (error) {
    engine.dispose();
    throw error;
  }
}

/** A model that could not answer anything is of no use. @throws OUT_OF_MEMORY, where the device can tell */
function refuseWithoutRoom({ engine, pool }: SharedMemory, { decoder }: StageRunners): void {
  if (engine.freeBytes === undefined) return;
  const sequence = new Sequence(pool);
  decoder.reserve({ sequence, tokens: 1, features: 0, prefillChunk: 1 });
  sequence.release();
  decoder.release();
  engine.trim?.();
  pool.trim();
}

async function uploadWeights(
  engine: Engine,
  programs: readonly VerifiedProgram[],
  rows: readonly WeightRows[],
  copies: CompiledModel["copies"],
  report: (progress: Pick<LoadProgress, "loadedBytes" | "weight">) => void,
): Promise<Map<string, DeviceWeight>> {
  const layouts = weightLayouts(...programs);
  const uploaded = new Map<string, DeviceWeight>();
  const layoutOf = ({ spec }: WeightRows) => layouts.get(spec.name) ?? "plain";
  /** One that is still to come, and may be the same. */
  const copyOf = (weight: WeightRows) => {
    const { name } = weight.spec;
    const pair = copies.find((names) => names.includes(name));
    const other = rows.find(({ spec }) => spec.name !== name && pair?.includes(spec.name));
    const fits = other && mayShare(weight, other) && layoutOf(weight) === layoutOf(other);
    return fits && !uploaded.has(other.spec.name) ? other : undefined;
  };
  let loadedBytes = 0;
  report({ loadedBytes });
  for (const weight of rows) {
    const { name } = weight.spec;
    const other = uploaded.has(name) ? undefined : copyOf(weight);
    const compared = other && comparedRows(weight, other);
    if (!uploaded.has(name)) {
      uploaded.set(name, await engine.uploadWeight(compared?.rows ?? weight, layoutOf(weight)));
    }
    if (other && compared?.areSame()) uploaded.set(other.spec.name, uploaded.get(name) as DeviceWeight);
    loadedBytes += checkpointBytes(weight);
    report({ loadedBytes, weight: name });
  }
  return uploaded;
}

/** Engines read rows as they have room for them, and know no signal. */
export function withSignal(weight: WeightRows, signal: AbortSignal | undefined): WeightRows {
  const { spec, dtype, rows, cols } = weight;
  return {
    spec,
    dtype,
    rows,
    cols,
    readRows: (first, count, into) => weight.readRows(first, count, into, signal),
    ...(weight.findNotFinite && {
      findNotFinite: async () => (await weight.findNotFinite?.(signal)) ?? null,
    }),
  };
}

function checkpointBytes({ rows, cols, dtype }: WeightRows): number {
  return storageBytes(dtype, rows, cols);
}
