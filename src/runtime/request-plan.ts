/** Memory that a request will need, from the programs and the request's sizes. Runs nothing. */

import type { TextConfig, VisionConfig } from "../config/types.ts";
import type { StageName } from "../models/stages.ts";
import { type EncoderBudget, visionMaxSeqlen } from "../mrope/vision-metadata.ts";
import type { Program } from "../program/program.ts";
import { bufferBytes, slotBytes } from "../program/sizes.ts";
import type { RequestCounts } from "../prompt/request-counts.ts";
import type { SymbolValues } from "../tensor/dims.ts";
import type { DType, TensorDType } from "../tensor/dtype.ts";
import { storageBytes } from "../tensor/storage.ts";
import {
  encoderItemSpecs,
  encoderRunSymbols,
  MAX_PATCHES_A_RUN,
  mostPaddedFeatures,
  packEncoderItems,
} from "./encoder-batch.ts";
import { type KvPoolLayout, kvPoolLayout, pageBytes } from "./kv-pool.ts";
import { NO_ADJUSTMENTS } from "./sampling-rows.ts";

export interface PlanOptions {
  /** New tokens to make room for. */
  readonly maxTokens: number;
  /** Most prompt tokens in one run of the decoder. */
  readonly prefillChunk: number;
  readonly pageSize: number;
  readonly activationDType: DType;
  readonly kvCacheDType: TensorDType;
  /** Sizes that the encoder pads its runs to. */
  readonly encoderBudgets?: readonly EncoderBudget[] | undefined;
}

/** Bytes as the programs need them. A backend may round up, and adds a kernel's workspace. */
export interface RequestPlan extends RequestCounts {
  readonly contextTokens: number;
  /** Whether the prompt leaves room for a new token. */
  readonly fitsContext: boolean;
  readonly weightBytes: number;
  readonly vision: {
    /** Times that the encoder runs. */
    readonly runs: number;
    /** Of the largest run, with padding. */
    readonly patches: number;
    /** Longest attention sequence: the patches of the largest frame. */
    readonly longestSequence: number;
    readonly activationBytes: number;
    /** Pixels, positions and rotary tables of the largest run, as a backend copies them. */
    readonly inputBytes: number;
    /** Held until the request ends: it may have to read its prompt again. */
    readonly featureBytes: number;
    /** Where padded runs write, as large as the largest budget: held from the first of them on. */
    readonly paddedFeatureBytes: number;
  };
  readonly kvCache: {
    readonly pageSize: number;
    /** For the prompt, and with the new tokens. */
    readonly promptPages: number;
    readonly pages: number;
    readonly bytesPerPage: number;
    readonly bytes: number;
  };
  readonly decoder: {
    readonly prefillRuns: number;
    readonly activationBytes: number;
    readonly logitBytes: number;
  };
  /**
   * The most that is held at one time beside the weights, by a backend that copies its inputs and keeps the memory of
   * its largest run (WebAssembly does).
   */
  readonly peakBytes: number;
}

type Programs = Readonly<Record<"decoder", Program>> & Readonly<Partial<Record<StageName, Program>>>;

export function planRequest(
  counts: RequestCounts,
  programs: Programs,
  config: { readonly text: TextConfig; readonly vision: VisionConfig },
  options: PlanOptions,
): RequestPlan {
  const { maxTokens, prefillChunk, pageSize, activationDType, kvCacheDType } = options;
  const { maxPositionEmbeddings, vocabSize } = config.text;
  const vision = planVision(counts, programs.vision, config.vision, options);

  const newTokens = Math.max(0, Math.min(maxTokens, maxPositionEmbeddings - counts.promptTokens));
  const promptPages = Math.ceil(counts.promptTokens / pageSize);
  // The last new token ends the answer before it is read back.
  const pages = Math.ceil((counts.promptTokens + Math.max(0, newTokens - 1)) / pageSize);
  const bytesPerPage = pageBytes(
    kvPoolLayout(config.text, pageSize, kvCacheDType, programs.mtp !== undefined),
  );
  const prefillRuns = Math.ceil(counts.promptTokens / prefillChunk);
  const tokens = Math.min(counts.promptTokens, prefillChunk);
  const activationBytes = sum(
    slotBytes(programs.decoder, {
      tokens,
      sequences: 1,
      blocks: promptPages,
      pages: promptPages,
      slab: counts.visionFeatures,
      features: Math.min(tokens, counts.visionTokens),
      logits: 1,
      ...NO_ADJUSTMENTS,
    }),
  );
  const logitBytes = storageBytes(activationDType, 1, vocabSize);
  return {
    ...counts,
    contextTokens: maxPositionEmbeddings,
    fitsContext: counts.promptTokens < maxPositionEmbeddings,
    weightBytes: weightBytes(Object.values(programs)),
    vision,
    kvCache: { pageSize, promptPages, pages, bytesPerPage, bytes: pages * bytesPerPage },
    decoder: { prefillRuns, activationBytes, logitBytes },
    peakBytes:
      Math.max(vision.activationBytes + vision.inputBytes, activationBytes) +
      vision.featureBytes +
      pages * bytesPerPage +
      vision.paddedFeatureBytes +
      logitBytes,
  };
}

/** Of a page of text with its picture: patches and tokens of the prompt. */
const USUAL_PATCHES = MAX_PATCHES_A_RUN;
const USUAL_TOKENS = 4096;

/** Bytes beside the weights that a request of usual size takes; a larger one takes more. */
export function usualRequestBytes(
  programs: Programs,
  { text, vision }: { readonly text: TextConfig; readonly vision: VisionConfig },
  layout: KvPoolLayout,
  prefillChunk: number,
): number {
  const features = USUAL_PATCHES / vision.spatialMergeSize ** 2;
  const featureBytes = storageBytes(programs.decoder.activation, features, text.hiddenSize);
  const pages = Math.ceil(Math.min(USUAL_TOKENS, text.maxPositionEmbeddings) / layout.pageSize);
  const encoding = { patches: USUAL_PATCHES, frames: 1 };
  const prefill = {
    tokens: prefillChunk,
    sequences: 1,
    blocks: pages,
    pages,
    slab: features,
    features,
    logits: 1,
    ...NO_ADJUSTMENTS,
  };
  const arenas = [
    programs.vision ? sum(slotBytes(programs.vision, encoding)) + inputBytes(programs.vision, encoding) : 0,
    sum(slotBytes(programs.decoder, prefill)),
  ];
  return Math.max(...arenas) + pages * pageBytes(layout) + featureBytes;
}

/** The same of the smallest one: a prompt of one token, which gives another. A kernel's workspace comes on top. */
export function leastRequestBytes(
  { decoder }: Programs,
  { text }: { readonly text: TextConfig },
  layout: KvPoolLayout,
): number {
  const step = {
    tokens: 1,
    sequences: 1,
    blocks: 1,
    pages: 1,
    slab: 0,
    features: 0,
    logits: 1,
    ...NO_ADJUSTMENTS,
  };
  const logitBytes = storageBytes(decoder.activation, 1, text.vocabSize);
  return sum(slotBytes(decoder, step)) + pageBytes(layout) + logitBytes;
}

function planVision(
  { images, videos }: RequestCounts,
  program: Program | undefined,
  { spatialMergeSize, outHiddenSize }: VisionConfig,
  { encoderBudgets = [], activationDType }: PlanOptions,
): RequestPlan["vision"] {
  const grids = [...images, ...videos].map(({ gridThw }) => gridThw);
  const specs = encoderItemSpecs(grids, spatialMergeSize);
  const runs = packEncoderItems(specs, encoderBudgets);
  const symbolsOfRuns = runs.map(({ first, count, budget }) =>
    encoderRunSymbols(specs.slice(first, first + count), budget),
  );
  const ofRuns = (bytes: (tower: Program, symbols: (typeof symbolsOfRuns)[number]) => number) =>
    program ? Math.max(0, ...symbolsOfRuns.map((symbols) => bytes(program, symbols))) : 0;
  const rowBytes = storageBytes(activationDType, 1, outHiddenSize);
  const isPadded = runs.some(({ budget }) => budget !== null);
  return {
    runs: runs.length,
    patches: Math.max(0, ...symbolsOfRuns.map(({ patches }) => patches)),
    longestSequence: visionMaxSeqlen(grids),
    activationBytes: ofRuns((tower, symbols) => sum(slotBytes(tower, symbols))),
    inputBytes: ofRuns(inputBytes),
    featureBytes: sum(specs.map(({ outputTokens }) => outputTokens)) * rowBytes,
    paddedFeatureBytes: isPadded ? mostPaddedFeatures(encoderBudgets, spatialMergeSize) * rowBytes : 0,
  };
}

function inputBytes({ buffers }: Program, symbols: SymbolValues): number {
  const inputs = buffers.filter(({ kind }) => kind === "input");
  return sum(inputs.map((buffer) => bufferBytes(buffer, symbols)));
}

/** Weights are numbers throughout; one that several programs use counts once. */
function weightBytes(programs: readonly Program[]): number {
  const none: SymbolValues = {};
  const weights = new Map(
    programs.flatMap(({ buffers }) =>
      buffers
        .filter(({ kind }) => kind === "weight")
        .map((buffer) => [buffer.name, bufferBytes(buffer, none)] as const),
    ),
  );
  return sum([...weights.values()]);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
