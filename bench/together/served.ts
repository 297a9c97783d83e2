/** What is served: a checkpoint, or the released sizes with random weights. */

import { openModelOn } from "../../src/api/load-model.ts";
import type { ModelConfig } from "../../src/config/types.ts";
import { CompiledGrammars } from "../../src/grammar/compiled-grammars.ts";
import { type LoadOptions, openProcessor } from "../../src/index.ts";
import { nodeFiles, wasmBackend } from "../../src/node-files.ts";
import { type GridThw, numMergedTokens, numPatches } from "../../src/processor/grid.ts";
import type { PromptInputs } from "../../src/prompt/prompt-inputs.ts";
import { compileStages, stageWeights } from "../../src/runtime/compile-stages.ts";
import { openStages } from "../../src/runtime/open-stages.ts";
import { ModelCore } from "../../src/serving/model-core.ts";
import { DraftCounts } from "../../src/serving/speculation.ts";
import { holdsColumns, type WeightFormat } from "../../src/tensor/storage.ts";
import { noise } from "../kernels.ts";
import { blockWeights } from "../model/block-weights.ts";
import { timedModel } from "../model/configs.ts";

export interface PageSize {
  readonly width: number;
  readonly height: number;
}

export interface Served {
  readonly core: ModelCore;
  /** Prompts that differ by their number. */
  text(number: number): Promise<PromptInputs>;
  page(number: number, size: PageSize): Promise<PromptInputs>;
}

const PREFILL_CHUNK = 512;

export async function openCheckpointServed(location: string, options: LoadOptions): Promise<Served> {
  const platform = { ...nodeFiles, backends: [wasmBackend] };
  const { core, processor } = await openModelOn(platform, location, {
    ...options,
    prefixCache: false,
    encoderCacheBytes: 0,
  });
  return {
    core,
    text: (number) => processor.process([{ role: "user", content: `Page ${number}` }]),
    page(number, { width, height }) {
      const data = Uint8Array.from(
        { length: 3 * width * height },
        (_, index) => (index * (number + 3)) % 251,
      );
      const image = { data, width, height };
      return processor.process([
        {
          role: "user",
          content: [
            { type: "image", image },
            { type: "text", text: "Text Recognition:" },
          ],
        },
      ]);
    },
  };
}

export interface ReleasedOptions {
  readonly weights: WeightFormat;
  readonly threads: number | undefined;
  readonly layers: number | undefined;
  readonly depth: number | undefined;
  /** Tokens of a prompt of text. */
  readonly promptTokens: number;
}

/** GLM-OCR's sizes. Texts are those of the demo's tokenizer, whose work is no part of the model's. */
export async function openReleased(given: ReleasedOptions): Promise<Served> {
  const { weights, threads, layers, depth, promptTokens } = given;
  const { config } = timedModel("glm-ocr", layers, depth);
  const compiled = compileStages(wasmBackend, config, {
    weightDType: (_, cols) => (holdsColumns(weights, cols) ? weights : "f32"),
  });
  const stages = await openStages(wasmBackend, compiled, stageWeights(compiled).map(blockWeights()), {
    engine: threads === undefined ? {} : { threads },
  });
  const { tokenizer } = await openProcessor("examples/demo/checkpoint");
  const core = new ModelCore({
    ...stages,
    tokenizer,
    generation: GREEDY_DEFAULTS,
    grammars: new CompiledGrammars({ tokenizer, vocabSize: config.text.vocabSize }),
    videoPruning: 0,
    hasMtp: false,
    tellsAttention: false,
    toolCallFormat() {
      throw new Error("Nobody asks for tools here.");
    },
    drafts: new DraftCounts(),
    openFiles: () => Promise.reject(new Error("Nobody asks for adapters here.")),
    merged: [],
    prefillChunk: PREFILL_CHUNK,
    maxBatchedTokens: PREFILL_CHUNK,
    maxSequences: 32,
    prefixCache: false,
  });
  return {
    core,
    text: async (number) => ({ inputIds: textIds(number, promptTokens) }),
    page: async (number, size) => pagePrompt(config, number, size),
  };
}

const GREEDY_DEFAULTS = {
  doSample: false,
  eosTokenIds: [],
  padTokenId: null,
  temperature: null,
  topK: null,
  topP: null,
  repetitionPenalty: null,
};

/** Ids that are no marker of anything. */
function textIds(number: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => 1 + ((index * 31 + number * 7) % 250));
}

function pagePrompt(config: ModelConfig, number: number, { width, height }: PageSize): PromptInputs {
  const { patchSize, spatialMergeSize, temporalPatchSize, inChannels } = config.vision;
  const side = patchSize * spatialMergeSize;
  const patches = (pixels: number) => Math.max(1, Math.round(pixels / side)) * spatialMergeSize;
  const gridThw: GridThw = [1, patches(height), patches(width)];
  const features = numMergedTokens(gridThw, spatialMergeSize);
  const { imageStart, image, imageEnd } = config.tokens;
  return {
    inputIds: [
      ...textIds(number, 4),
      imageStart,
      ...Array.from({ length: features }, () => image),
      imageEnd,
      ...textIds(number, 12),
    ],
    pixelValues: noise(numPatches(gridThw) * inChannels * temporalPatchSize * patchSize ** 2).map(
      (value) => value * (1 + number / 16),
    ),
    imageGridThw: [gridThw],
  };
}
