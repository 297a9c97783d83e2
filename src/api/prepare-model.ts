/** All that can be known of a model before its weights are read, so that what is wrong with a request can be told before. */

import { createGroupBackend } from "../backends/group/backend.ts";
import { openCheckpoint } from "../checkpoint/checkpoint.ts";
import type { ModelLocation, OpenFiles } from "../checkpoint/location.ts";
import { mergeAdapters } from "../checkpoint/merged-weight.ts";
import { resolveWeights } from "../checkpoint/resolve-weights.ts";
import { GlimtError } from "../errors.ts";
import { CompiledGrammars } from "../grammar/compiled-grammars.ts";
import { Processor } from "../prompt/processor.ts";
import { chooseBackend } from "../runtime/choose-backend.ts";
import { stageWeights } from "../runtime/compile-stages.ts";
import type { AnswerContext } from "../serving/answer-context.ts";
import { withTokenizersEnd } from "../serving/generation-options.ts";
import { checkFormats } from "./check-formats.ts";
import { compileCheckpoint } from "./compile-checkpoint.ts";
import { type LoadOptions, readLoadOptions } from "./load-options.ts";
import { checkMerging, openMerged, storedMerged } from "./merged-adapters.ts";
import { type ResolvedParallel, resolveParallel } from "./parallel-options.ts";
import type { Platform } from "./platform.ts";

/** Neither weights nor a device are held. */
export type PreparedModel = Awaited<ReturnType<typeof prepareOn>>;

/** @throws what loading does of what is no fault of the weights' bytes, nor of the device's memory */
export async function prepareModelOn(
  platform: Platform,
  location: ModelLocation,
  given: LoadOptions | undefined,
): Promise<PreparedModel> {
  const options = readLoadOptions(given);
  if (options.dataParallel !== undefined) {
    throw new GlimtError("OPTION_INVALID", "dataParallel has no effect here: one model is opened.");
  }
  const group = resolveParallel(options);
  group?.link?.take();
  try {
    return await prepareOn(platform, location, options, group);
  } catch (error) {
    group?.link?.close();
    throw error;
  }
}

async function prepareOn(
  platform: Platform,
  location: ModelLocation,
  options: LoadOptions,
  group: ResolvedParallel | null,
) {
  const start = performance.now();
  const isPipeline = group !== null && group.pipeline > 1;
  if (isPipeline && options.mtp) {
    throw new GlimtError(
      "OPTION_INVALID",
      "The layer that drafts (mtp) reads what is on the first stage of a pipeline and on the last: leave mtp out, or pass false.",
    );
  }
  if (group && options.attention) {
    throw new GlimtError(
      "OPTION_INVALID",
      "attention: each device of a group has a part of the heads or of the layers, and none can tell it: load the model on one device, or leave attention out.",
    );
  }
  if (group?.link && options.kvCache && "fraction" in options.kvCache) {
    throw new GlimtError(
      "OPTION_INVALID",
      "kvCache: what is free may be another in each of several processes, and all keep the same pages: give bytes instead of a fraction.",
    );
  }
  const { backend: single, refused } = await chooseBackend(
    platform.backends,
    options.backend ?? "auto",
    group?.devices,
  );
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
  const { config } = checkpoint;
  const { tokenizer, videoPruning } = processor;
  const answers: AnswerContext = {
    config,
    tokenizer,
    generation: withTokenizersEnd(checkpoint.generation, tokenizer),
    grammars: new CompiledGrammars({
      tokenizer,
      vocabSize: config.text.vocabSize,
      workers: platform.grammarWorkers?.(options.workerUrl),
    }),
    videoPruning,
    hasMtp: compiled.stages.some(({ name }) => name === "drafting"),
    tellsAttention: options.attention ?? false,
    toolCallFormat: () => processor.toolCallFormat(),
  };
  return {
    options,
    link: group?.link,
    sessionFiles: platform.sessionFiles,
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
    milliseconds: performance.now() - start,
  };
}
