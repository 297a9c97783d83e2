/** What `glimt process --html` and `glimt run --html` write: a request as the model is given it, and its answer. */
import { formatBytes } from "../../compiler/print.ts";
import type { ProcessedInputs, Processor } from "../../index.ts";
import { nodePlatform } from "../../node-engine.ts";
import { numPatches } from "../../processor/grid.ts";
import { numKeptFeatures } from "../../prompt/pruned-media.ts";
import { type RequestCounts, totals } from "../../prompt/request-counts.ts";
import { chooseBackend } from "../../runtime/choose-backend.ts";
import { planRequest } from "../../runtime/request-plan.ts";
import { DEFAULT_MAX_TOKENS } from "../../serving/generation-options.ts";
import type { ShownAnswer } from "../../views/answer.ts";
import { countOf } from "../../views/markup.ts";
import type { PromptToken } from "../../views/prompt.ts";
import { requestHtml } from "../../views/request.ts";
import { planningOf } from "../planning.ts";
import { shownMedia } from "./shown-media.ts";

export async function requestPage(
  location: string,
  processor: Processor,
  inputs: ProcessedInputs,
  answer?: ShownAnswer,
): Promise<string> {
  const { config, processor: processing } = processor.checkpoint;
  const { media, notes } = await shownMedia(inputs, processing);
  return requestHtml({
    model: location,
    architecture: config.architecture,
    tokens: promptTokens(processor, inputs),
    promptTokens: inputs.promptTokens,
    contextTokens: config.text.maxPositionEmbeddings,
    positionIds: inputs.positionIds,
    ropeDelta: inputs.ropeDelta,
    media,
    answer,
    mergeSize: processing.image.mergeSize,
    patchSize: processing.image.patchSize,
    memory: await memoryOf(processor, inputs),
    notes,
  });
}

function promptTokens(
  { tokenizer }: Processor,
  { inputIds, mmTokenTypeIds }: Pick<ProcessedInputs, "inputIds" | "mmTokenTypeIds">,
): PromptToken[] {
  return inputIds.map((id, index) => ({
    id,
    bytes: tokenizer.bytesOf(id),
    isSpecial: tokenizer.isSpecial(id),
    isMedia: mmTokenTypeIds[index] !== 0,
  }));
}

/** As `glimt plan` reckons it, for the backend that is taken here and an answer of the default length. */
async function memoryOf(processor: Processor, inputs: ProcessedInputs): Promise<[string, string][]> {
  const { config } = processor.checkpoint;
  const { backend } = await chooseBackend(nodePlatform.backends, "auto");
  const { programs, options } = planningOf(backend, processor, { maxTokens: DEFAULT_MAX_TOKENS });
  const plan = planRequest(countsOf(processor, inputs), programs, config, options);
  const { vision, kvCache, weightBytes, peakBytes } = plan;
  const tower: [string, string] = [
    "Vision tower",
    `${countOf(vision.runs, "run")}, activations ${formatBytes(vision.activationBytes)}, features ${formatBytes(vision.featureBytes)}`,
  ];
  return [
    ["Weights", `${formatBytes(weightBytes)}, as the checkpoint has them, on the ${backend.name} backend`],
    ["Beside them", `${formatBytes(peakBytes)} at the most, with an answer of ${DEFAULT_MAX_TOKENS} tokens`],
    [
      "KV cache",
      `${countOf(kvCache.pages, "page")} of ${kvCache.pageSize} tokens, ${formatBytes(kvCache.bytes)}`,
    ],
    ...(vision.runs > 0 ? [tower] : []),
  ];
}

/** What was processed, as requests are counted by their sizes. */
function countsOf(processor: Processor, { media, promptTokens }: ProcessedInputs): RequestCounts {
  const { patchSize, mergeSize } = processor.checkpoint.processor.image;
  const sizes = media.map(({ type, gridThw, numTokens, labels, source }) => ({
    type,
    gridThw,
    numTokens,
    labels,
    resizedWidth: gridThw[2] * patchSize,
    resizedHeight: gridThw[1] * patchSize,
    numPatches: numPatches(gridThw),
    numSampledFrames: source?.frames?.indices.length ?? gridThw[0],
    numKeptTokens: numKeptFeatures({ type, gridThw, numFeatures: numTokens }, processor.videoPruning),
  }));
  const counted = {
    images: sizes.filter(({ type }) => type === "image"),
    videos: sizes.filter(({ type }) => type === "video"),
  };
  return { ...counted, ...totals(counted, mergeSize), promptTokens };
}
