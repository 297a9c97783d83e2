/** From a checkpoint to a model that answers. */
import type { DeviceWeight } from "../backends/backend.ts";
import type { ModelLocation } from "../checkpoint/location.ts";
import { storageTotals, tensorStorage } from "../checkpoint/tensor-storage.ts";
import { throwIfAborted } from "../errors.ts";
import type { WeightSpec } from "../graph/weight-spec.ts";
import type { Processor } from "../prompt/processor.ts";
import { bytesByFormat } from "../runtime/device-memory.ts";
import { openStages, type Stages } from "../runtime/open-stages.ts";
import type { AnswerContext } from "../serving/answer-context.ts";
import { ModelCore } from "../serving/model-core.ts";
import { DraftCounts } from "../serving/speculation.ts";
import { resolveBudgets } from "./encoder-token-budgets.ts";
import {
  DEFAULT_ENCODER_CACHE_BYTES,
  DEFAULT_MAX_SEQUENCES,
  engineOptions,
  type LoadOptions,
  readLoadOptions,
} from "./load-options.ts";
import { LoadedModel, type ModelFacts } from "./loaded-model.ts";
import type { Model } from "./model.ts";
import type { Platform } from "./platform.ts";
import { type PreparedModel, prepareModelOn } from "./prepare-model.ts";
import { loadReplicas } from "./replicas/load-replicas.ts";

/** @param check looks at what will answer before weights are read; what it throws ends loading */
export async function loadModelOn(
  platform: Platform,
  location: ModelLocation,
  given: LoadOptions | undefined,
  limits: readonly string[] = [],
  check?: (answers: AnswerContext) => void,
): Promise<Model> {
  const load = async (options: LoadOptions) => {
    const prepared = await prepareModelOn(platform, location, options);
    try {
      check?.(prepared.answers);
    } catch (error) {
      prepared.link?.close();
      throw error;
    }
    return loadPrepared(prepared, limits);
  };
  const { dataParallel, ...options } = readLoadOptions(given);
  return dataParallel === undefined ? load(options) : loadReplicas(dataParallel, options, load);
}

/** @param limits of where it runs, for `backend.limits` */
export async function loadPrepared(prepared: PreparedModel, limits: readonly string[] = []): Promise<Model> {
  const { core, processor, facts } = await openPrepared(prepared);
  return new LoadedModel(core, processor, { ...facts, limits }, prepared.sessionFiles);
}

/** What a model is made of. */
export interface OpenedModel {
  readonly core: ModelCore;
  readonly processor: Processor;
  readonly facts: ModelFacts;
}

/** For who measures its parts: the same as loading, to be disposed of by `core`. */
export async function openModelOn(
  platform: Platform,
  location: ModelLocation,
  given: LoadOptions | undefined,
): Promise<OpenedModel> {
  return openPrepared(await prepareModelOn(platform, location, given));
}

async function openPrepared(prepared: PreparedModel): Promise<OpenedModel> {
  try {
    return await openWeights(prepared);
  } catch (error) {
    // The processes that would run with this one need not wait for it.
    prepared.link?.close();
    throw error;
  }
}

/** @throws WEIGHTS_INVALID, OUT_OF_MEMORY and what else reading weights and adapters does */
async function openWeights({
  options,
  backend,
  refused,
  files,
  checkpoint,
  processor,
  openFiles,
  merged,
  separate,
  compiled,
  specs,
  weights,
  aside,
  rows,
  answers,
  milliseconds,
}: PreparedModel): Promise<OpenedModel> {
  const start = performance.now();
  const { signal } = options;
  // Not before all that can be wrong with the model is known.
  await files.bring?.(
    checkpoint.weightFiles.map(({ name }) => name),
    signal,
  );
  files.expectReads?.(
    rows.flatMap(({ ranges }) => ranges),
    signal,
  );
  const stages = await openStages(backend, compiled, rows, {
    engine: engineOptions(options),
    // What is free may be another in each process, and all of them have to keep the same pages.
    kvCache: options.kvCache ?? (options.parallel?.processes ? { bytes: 0 } : undefined),
    encoderCacheBytes: options.encoderCacheBytes ?? DEFAULT_ENCODER_CACHE_BYTES,
    encoderBudgets: resolveBudgets(options.encoderTokenBudgets, backend, processor),
    onProgress: (progress) => {
      options.onProgress?.(progress);
      throwIfAborted(signal);
    },
    signal,
  }).finally(() => files.expectReads?.([]));
  const { prefillChunk = backend.prefillChunk, maxBatchedTokens = prefillChunk } = options;
  const core = new ModelCore({
    ...stages,
    ...answers,
    drafts: new DraftCounts(),
    openFiles,
    merged: merged.map(({ facts }) => facts),
    prefillChunk: Math.min(prefillChunk, maxBatchedTokens),
    maxBatchedTokens,
    maxSequences: options.maxSequences ?? DEFAULT_MAX_SEQUENCES,
    prefixCache: options.prefixCache ?? true,
  });
  try {
    for (const source of separate) await core.adapters.load(source, signal);
  } catch (error) {
    await core.dispose();
    throw error;
  }
  const loadMilliseconds = milliseconds + performance.now() - start;
  const storedBytes = bytesByFormat(onceEach(specs, stages.weights));
  const conversions = storageTotals(tensorStorage(checkpoint.tensors, specs));
  const { notes } = checkpoint;
  const loaded = {
    weights: weights.length,
    bytes: stages.loadedBytes,
    storedBytes,
    conversions,
    notes,
    aside,
  };
  const dtype = options.dtype ?? checkpoint.mainDType;
  return { core, processor, facts: { dtype, refused, loadMilliseconds, loaded, limits: [] } };
}

/** Of weights that are one on the device, the first. */
function onceEach(specs: readonly WeightSpec[], weights: Stages["weights"]): WeightSpec[] {
  const names = new Map([...weights].reverse().map(([name, weight]) => [weight, name]));
  return specs.filter(({ name }) => names.get(weights.get(name) as DeviceWeight) === name);
}
