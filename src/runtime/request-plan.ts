/** Memory that a request will need, from the programs and the request's sizes. Runs nothing. */

import type { TextConfig, VisionConfig } from "../config/types.ts";
import type { StageName } from "../models/stages.ts";
import { type EncoderBudget, visionMaxSeqlen } from "../mrope/vision-metadata.ts";
import { type Communication, communicationOf } from "../program/communication.ts";
import type { Program } from "../program/program.ts";
import { bufferBytes, slotBytes } from "../program/sizes.ts";
import type { VerifiedProgram } from "../program/verify-program.ts";
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
  /** Of a model for a device group: what each rank needs, of the same request. */
  readonly ranks?: readonly RankPlan[];
}

/** A rank of a device group: what it has of the model and of a request, and what it says to the others. */
export interface RankPlan {
  readonly weightBytes: number;
  readonly kvCacheBytes: number;
  /** Of the vision tower's largest run, and of the decoder's. */
  readonly visionActivationBytes: number;
  readonly decoderActivationBytes: number;
  /** The most that is held at one time beside the weights. */
  readonly peakBytes: number;
  /** In one run of the tower, the largest; of the decoder over a part of the prompt, and for one token behind it. */
  readonly communication: Readonly<Record<"encode" | "prefill" | "step", readonly Communication[]>>;
}

type Programs = Readonly<Record<"decoder", VerifiedProgram>> &
  Readonly<Partial<Record<StageName, VerifiedProgram>>>;

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
  const sizes = planSizes(counts, config, options, { promptPages, pages });
  const activationBytes = sum(slotBytes(programs.decoder, sizes.prefill));
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

/** Values of the programs' symbols in the runs of a request. */
interface PlanSizes {
  /** Of the tower's runs. */
  readonly encodes: readonly SymbolValues[];
  /** A part of the prompt, and a token behind all of it. */
  readonly prefill: SymbolValues;
  readonly step: SymbolValues;
}

function planSizes(
  counts: RequestCounts,
  { vision }: { readonly vision: VisionConfig },
  options: PlanOptions,
  { promptPages, pages }: { readonly promptPages: number; readonly pages: number },
): PlanSizes {
  const tokens = Math.min(counts.promptTokens, options.prefillChunk);
  const common = { sequences: 1, slab: counts.visionFeatures, logits: 1, ...NO_ADJUSTMENTS };
  return {
    encodes: encodeSizes(counts, vision, options).symbols,
    prefill: {
      ...common,
      tokens,
      blocks: promptPages,
      pages: promptPages,
      features: Math.min(tokens, counts.visionTokens),
    },
    step: { ...common, tokens: 1, blocks: pages, pages, features: 0 },
  };
}

/** Of what the programs of a rank declare: a rank without the first layers needs no features, one without the head no logits. */
function planRank(
  rank: number,
  programs: Programs,
  { encodes, prefill, step }: PlanSizes,
  { featureBytes, paddedFeatureBytes }: RequestPlan["vision"],
): RankPlan {
  const decoder = programs.decoder.ranks?.[rank] as VerifiedProgram;
  const vision = programs.vision?.ranks?.[rank];
  const largest = encodes.toSorted((a, b) => (b.patches ?? 0) - (a.patches ?? 0))[0];
  const encoderBytes = vision && largest ? sum(slotBytes(vision, largest)) + inputBytes(vision, largest) : 0;
  const caches = [decoder, programs.mtp?.ranks?.[rank]].flatMap((program) => program?.buffers ?? []);
  const kvCacheBytes = sum(
    caches.filter(({ kind }) => kind === "state").map((buffer) => bufferBytes(buffer, step)),
  );
  const decoderActivationBytes = sum(slotBytes(decoder, prefill));
  const readsFeatures = decoder.buffers.some(({ name }) => name === "features");
  const logits = decoder.buffers.find(({ name }) => name === "logits");
  return {
    weightBytes: weightBytes(Object.values(programs).flatMap(({ ranks }) => ranks?.[rank] ?? [])),
    kvCacheBytes,
    visionActivationBytes: encoderBytes,
    decoderActivationBytes,
    peakBytes:
      Math.max(encoderBytes, decoderActivationBytes) +
      kvCacheBytes +
      (readsFeatures ? featureBytes : 0) +
      (encoderBytes > 0 ? paddedFeatureBytes : 0) +
      (logits ? bufferBytes(logits, step) : 0),
    communication: {
      encode: vision && largest ? communicationOf(vision, largest) : [],
      prefill: communicationOf(decoder, prefill),
      step: communicationOf(decoder, step),
    },
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

function encodeSizes(
  { images, videos }: RequestCounts,
  { spatialMergeSize }: VisionConfig,
  { encoderBudgets = [] }: PlanOptions,
) {
  const grids = [...images, ...videos].map(({ gridThw }) => gridThw);
  const specs = encoderItemSpecs(grids, spatialMergeSize);
  const runs = packEncoderItems(specs, encoderBudgets);
  const symbols = runs.map(({ first, count, budget }) =>
    encoderRunSymbols(specs.slice(first, first + count), budget),
  );
  return { grids, specs, symbols, isPadded: runs.some(({ budget }) => budget !== null) };
}

function planVision(
  counts: RequestCounts,
  program: Program | undefined,
  config: VisionConfig,
  options: PlanOptions,
): RequestPlan["vision"] {
  const { grids, specs, symbols, isPadded } = encodeSizes(counts, config, options);
  const { encoderBudgets = [], activationDType } = options;
  const ofRuns = (bytes: (tower: Program, sizes: (typeof symbols)[number]) => number) =>
    program ? Math.max(0, ...symbols.map((sizes) => bytes(program, sizes))) : 0;
  const rowBytes = storageBytes(activationDType, 1, config.outHiddenSize);
  return {
    runs: symbols.length,
    patches: Math.max(0, ...symbols.map(({ patches }) => patches)),
    longestSequence: visionMaxSeqlen(grids),
    activationBytes: ofRuns((tower, sizes) => sum(slotBytes(tower, sizes))),
    inputBytes: ofRuns(inputBytes),
    featureBytes: sum(specs.map(({ outputTokens }) => outputTokens)) * rowBytes,
    paddedFeatureBytes: isPadded ? mostPaddedFeatures(encoderBudgets, config.spatialMergeSize) * rowBytes : 0,
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
