/** Memory that a request will need, from the programs and the request's sizes. Runs nothing. */

import type { TextConfig, VisionConfig } from "../config/types.ts";
import type { StageName } from "../models/stages.ts";
import { type EncoderBudget, visionMaxSeqlen } from "../mrope/vision-metadata.ts";
import type { Program } from "../program/program.ts";
import { arenaBytes, inputBytes, weightBytes } from "../program/sizes.ts";
import type { VerifiedProgram } from "../program/verify-program.ts";
import type { RequestCounts } from "../prompt/request-counts.ts";
import type { DType, TensorDType } from "../tensor/dtype.ts";
import { storageBytes } from "../tensor/storage.ts";
import {
  type EncoderItemSpec,
  encoderItemSpecs,
  encoderRunSymbols,
  MAX_PATCHES_A_RUN,
  mostPaddedFeatures,
  packEncoderItems,
} from "./encoder-batch.ts";
import { dealByLoad, encoderRanks } from "./encoder-shares.ts";
import { type KvPoolLayout, kvPoolLayout, pageBytes } from "./kv-pool.ts";
import { planRank, type RankPlan } from "./rank-plan.ts";
import { PLAIN_STEP } from "./sampling-rows.ts";

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
  /** Tokens of the context: the prompt and the answer together. */
  readonly contextTokens: number;
  /** Whether the prompt leaves room for a new token. */
  readonly fitsContext: boolean;
  /** Of the weights, which all requests share. */
  readonly weightBytes: number;
  /** What encoding its pictures and videos takes. */
  readonly vision: {
    /** Times that the encoder runs. */
    readonly runs: number;
    /** Of the largest run, with padding. */
    readonly patches: number;
    /** Longest attention sequence: the patches of the largest frame. */
    readonly longestSequence: number;
    /** Activations of the largest run. */
    readonly activationBytes: number;
    /** Pixels, positions and rotary tables of the largest run, as a backend copies them. */
    readonly inputBytes: number;
    /** Held until the request ends: it may have to read its prompt again. */
    readonly featureBytes: number;
    /** Where padded runs write, as large as the largest budget: held from the first of them on. */
    readonly paddedFeatureBytes: number;
  };
  /** Its keys and values. */
  readonly kvCache: {
    /** Tokens of a page. */
    readonly pageSize: number;
    /** Pages for the prompt. */
    readonly promptPages: number;
    /** Pages for the prompt and the new tokens. */
    readonly pages: number;
    /** Bytes of a page. */
    readonly bytesPerPage: number;
    /** Of all these pages. */
    readonly bytes: number;
  };
  /** What reading the prompt and generating take. */
  readonly decoder: {
    /** Runs in which the prompt is read. */
    readonly prefillRuns: number;
    /** Activations of the largest run. */
    readonly activationBytes: number;
    /** Logits that are held. */
    readonly logitBytes: number;
  };
  /**
   * The most that is held at one time beside the weights, by a backend that copies its inputs and keeps the memory of
   * its largest run (WebAssembly does).
   */
  readonly peakBytes: number;
  /** Of a model for a device group: what each rank needs, of the same request. */
  readonly ranks?: readonly RankPlan[];
}

type Programs = Readonly<Record<"decoder", VerifiedProgram>> &
  Readonly<Partial<Record<StageName, VerifiedProgram>>>;

export function planRequest(
  counts: RequestCounts,
  programs: Programs,
  config: { readonly text: TextConfig; readonly vision: VisionConfig },
  options: PlanOptions,
): RequestPlan {
  const { prefillChunk, pageSize, activationDType, kvCacheDType } = options;
  const { maxPositionEmbeddings, vocabSize } = config.text;
  const vision = planVision(counts, programs, config.vision, options);

  const sizes = requestRuns(counts, programs, config, options);
  const { blocks: promptPages } = sizes.prefill;
  const { blocks: pages } = sizes.step;
  const bytesPerPage = pageBytes(
    kvPoolLayout(config.text, pageSize, kvCacheDType, programs.drafting !== undefined),
  );
  const activationBytes = arenaBytes(programs.decoder, sizes.prefill);
  const logitBytes = storageBytes(activationDType, 1, vocabSize);
  const ranks = programs.decoder.ranks?.map((_, rank) => planRank(rank, programs, sizes, vision));
  return {
    ...counts,
    contextTokens: maxPositionEmbeddings,
    fitsContext: counts.promptTokens < maxPositionEmbeddings,
    weightBytes: weightBytes(Object.values(programs)),
    vision,
    kvCache: { pageSize, promptPages, pages, bytesPerPage, bytes: pages * bytesPerPage },
    decoder: { prefillRuns: Math.ceil(counts.promptTokens / prefillChunk), activationBytes, logitBytes },
    peakBytes:
      Math.max(vision.activationBytes + vision.inputBytes, activationBytes) +
      vision.featureBytes +
      pages * bytesPerPage +
      vision.paddedFeatureBytes +
      logitBytes,
    ...(ranks && { ranks }),
  };
}

/** Values of the programs' symbols in the runs of a request: of the tower, over a part of the prompt, for a token behind it. */
export function requestRuns(
  counts: RequestCounts,
  programs: Programs,
  { text, vision }: { readonly text: TextConfig; readonly vision: VisionConfig },
  options: PlanOptions,
) {
  const { maxTokens, prefillChunk, pageSize } = options;
  const newTokens = Math.max(0, Math.min(maxTokens, text.maxPositionEmbeddings - counts.promptTokens));
  const promptPages = Math.ceil(counts.promptTokens / pageSize);
  // The last new token ends the answer before it is read back.
  const pages = Math.ceil((counts.promptTokens + Math.max(0, newTokens - 1)) / pageSize);
  const tokens = Math.min(counts.promptTokens, prefillChunk);
  const features = Math.min(tokens, counts.visionTokens);
  const common = { sequences: 1, slab: counts.visionFeatures, logits: 1, ...PLAIN_STEP };
  return {
    /** Of each share, where items are dealt over several ranks. */
    encode: encodeRuns(counts, programs, vision, options).shares,
    /** Tokens that are seen behind the prompt, and behind the answer. */
    context: { prefill: counts.promptTokens, step: counts.promptTokens + newTokens },
    prefill: { ...common, tokens, blocks: promptPages, pages: promptPages, features },
    step: { ...common, tokens: 1, blocks: pages, pages, features: 0 },
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
    ...PLAIN_STEP,
  };
  const arenas = [
    programs.vision ? arenaBytes(programs.vision, encoding) + inputBytes(programs.vision, encoding) : 0,
    arenaBytes(programs.decoder, prefill),
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
    ...PLAIN_STEP,
  };
  const logitBytes = storageBytes(decoder.activation, 1, text.vocabSize);
  return arenaBytes(decoder, step) + pageBytes(layout) + logitBytes;
}

function encodeRuns(
  { images, videos }: RequestCounts,
  { vision: tower, decoder }: Programs,
  { spatialMergeSize }: VisionConfig,
  { encoderBudgets = [] }: PlanOptions,
) {
  const grids = [...images, ...videos].map(({ gridThw }) => gridThw);
  const specs = encoderItemSpecs(grids, spatialMergeSize);
  const sizes = specs.map(({ inputSize }) => inputSize);
  const { ranks, isDealt } = encoderRanks(tower, decoder);
  const shares = dealByLoad(sizes, Math.max(1, ranks.length)).map((share) => {
    const items = share.sort((a, b) => a - b).map((index) => specs[index] as EncoderItemSpec);
    return packEncoderItems(items, encoderBudgets).map(({ first, count, budget }) => {
      const own = items.slice(first, first + count);
      return {
        symbols: encoderRunSymbols(own, budget),
        isPadded: budget !== null,
        items: own,
      };
    });
  });
  return {
    grids,
    specs,
    shares,
    /** Times that something is run. */
    rounds: Math.max(...shares.map(({ length }) => length)),
    isPadded: shares.flat().some((run) => run.isPadded),
    isDealt,
  };
}

function planVision(
  counts: RequestCounts,
  programs: Programs,
  config: VisionConfig,
  options: PlanOptions,
): RequestPlan["vision"] {
  const { grids, specs, shares, rounds, isPadded, isDealt } = encodeRuns(counts, programs, config, options);
  const symbols = shares.flat().map((run) => run.symbols);
  const { encoderBudgets = [], activationDType } = options;
  const ofRuns = (bytes: (tower: Program, sizes: (typeof symbols)[number]) => number) =>
    programs.vision ? Math.max(0, ...symbols.map((sizes) => bytes(programs.vision as Program, sizes))) : 0;
  const rowBytes = storageBytes(activationDType, 1, config.outHiddenSize);
  const patches = Math.max(0, ...symbols.map((sizes) => sizes.patches));
  const mostPadded = isPadded ? mostPaddedFeatures(encoderBudgets, config.spatialMergeSize) : 0;
  return {
    runs: rounds,
    patches,
    longestSequence: visionMaxSeqlen(grids),
    activationBytes: ofRuns((tower, sizes) => arenaBytes(tower, sizes)),
    inputBytes: ofRuns(inputBytes),
    featureBytes: specs.reduce((sum, { outputTokens }) => sum + outputTokens, 0) * rowBytes,
    // Where items are dealt each rank writes its run's features beside the slab first.
    paddedFeatureBytes: (isDealt ? patches / config.spatialMergeSize ** 2 : mostPadded) * rowBytes,
  };
}
