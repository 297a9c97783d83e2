/** From a checkpoint to a model that answers. */
import { createGroupBackend } from "../backends/group/backend.ts";
import { openCheckpoint } from "../checkpoint/checkpoint.ts";
import type { ModelLocation, OpenFiles } from "../checkpoint/location.ts";
import { mergeAdapters } from "../checkpoint/merged-weight.ts";
import { resolveWeights } from "../checkpoint/resolve-weights.ts";
import { storageTotals, tensorStorage } from "../checkpoint/tensor-storage.ts";
import { GlimtError, throwIfAborted } from "../errors.ts";
import { CompiledGrammars } from "../grammar/compiled-grammars.ts";
import { Processor } from "../prompt/processor.ts";
import { chooseBackend } from "../runtime/choose-backend.ts";
import { stageWeights } from "../runtime/compile-stages.ts";
import { bytesByFormat } from "../runtime/device-memory.ts";
import { openStages } from "../runtime/open-stages.ts";
import { withTokenizersEnd } from "../serving/generation-options.ts";
import { ModelCore } from "../serving/model-core.ts";
import { DraftCounts } from "../serving/speculation.ts";
import { checkFormats } from "./check-formats.ts";
import { compileCheckpoint } from "./compile-checkpoint.ts";
import { resolveBudgets } from "./encoder-token-budgets.ts";
import {
  DEFAULT_ENCODER_CACHE_BYTES,
  DEFAULT_MAX_SEQUENCES,
  engineOptions,
  type LoadOptions,
  readLoadOptions,
} from "./load-options.ts";
import { checkMerging, openMerged, storedMerged } from "./merged-adapters.ts";
import { Model, type ModelFacts } from "./model.ts";
import { resolveParallel } from "./parallel-options.ts";
import type { Platform } from "./platform.ts";

export async function loadModelOn(
  platform: Platform,
  location: ModelLocation,
  given: LoadOptions | undefined,
): Promise<Model> {
  const { core, processor, facts } = await openModelOn(platform, location, given);
  return new Model(core, processor, facts);
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
  const start = performance.now();
  const options = readLoadOptions(given);
  const group = resolveParallel(options);
  const isPipeline = group !== null && group.pipeline > 1;
  if (isPipeline && options.mtp) {
    throw new GlimtError(
      "OPTION_INVALID",
      "The layer that drafts (mtp) reads what is on the first stage of a pipeline and on the last: leave mtp out, or pass false.",
    );
  }
  const { backend: single, refused } = await chooseBackend(platform.backends, options.backend ?? "auto");
  const backend = group ? createGroupBackend(single, group) : single;
  const { headers, checkpointTimeout, fetch, hub, onDownload, mmproj, signal } = options;
  const asked = { checkpointTimeout, fetch, hub, onDownload };
  const files = await platform.openFiles(location, { ...asked, headers, mmproj, signal });
  const checkpoint = await openCheckpoint(files, { signal });
  const processor = await Processor.open(checkpoint, platform, options, signal);

  const openFiles: OpenFiles = (from) => platform.openFiles(from, asked);
  const { merged, separate } = await openMerged(openFiles, options.adapters ?? [], signal);
  checkFormats(backend, checkpoint.config.text, options);
  const compiled = compileCheckpoint(backend, storedMerged(checkpoint, merged), {
    ...options,
    mtp: options.mtp ?? !isPipeline,
    ...(group && { group }),
  });
  const specs = stageWeights(compiled);
  checkMerging(merged, checkpoint.config.architecture, specs);
  const { weights, aside } = resolveWeights(checkpoint, specs);
  // In the order of the files, so that each is read once from front to back.
  const rows = mergeAdapters(weights, merged).sort((a, b) => a.position - b.position);
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
    kvCache: options.kvCache,
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
    drafts: new DraftCounts(),
    generation: withTokenizersEnd(checkpoint.generation, processor.tokenizer),
    tokenizer: processor.tokenizer,
    openFiles,
    grammars: new CompiledGrammars({
      tokenizer: processor.tokenizer,
      vocabSize: checkpoint.config.text.vocabSize,
      workers: platform.grammarWorkers?.(options.workerUrl),
    }),
    merged: merged.map(({ facts }) => facts),
    prefillChunk: Math.min(prefillChunk, maxBatchedTokens),
    maxBatchedTokens,
    maxSequences: options.maxSequences ?? DEFAULT_MAX_SEQUENCES,
    prefixCache: options.prefixCache ?? true,
    videoPruning: processor.videoPruning,
  });
  try {
    for (const source of separate) await core.adapters.load(source, signal);
  } catch (error) {
    await core.dispose();
    throw error;
  }
  const loadMilliseconds = performance.now() - start;
  const storedBytes = bytesByFormat(specs);
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
  return { core, processor, facts: { dtype, refused, loadMilliseconds, loaded } };
}
