/**
 * Batches of images and videos for the encoder program: what each item costs, which items run together and at which
 * budget. The vocabulary is that of vLLM's encoder CUDA graphs: one captured program a budget serves every batch that
 * fits it.
 */
import type { VisionConfig } from "../config/types.ts";
import { type EncoderBudget, prepareEncoderMetadata } from "../mrope/vision-metadata.ts";
import { type GridThw, numMergedTokens, numPatches } from "../processor/grid.ts";
import { type EncoderItem, patchElements } from "../prompt/vision-items.ts";

/** What one item takes of a budget, and gives. */
export interface EncoderItemSpec {
  /** Patches: rows of pixelValues. */
  readonly inputSize: number;
  /** Features: rows of the embeddings, and tokens in the prompt. */
  readonly outputTokens: number;
  /** Attention sequences. */
  readonly frames: number;
}

/** Items [first, first + count) in one run, padded to `budget`, or as large as they are when it is null. */
export interface EncoderRun {
  readonly first: number;
  readonly count: number;
  readonly budget: EncoderBudget | null;
}

/** A frame is expected to give at least this many features on average when frames are reckoned from tokens. */
const TOKENS_PER_FRAME = 16;
/** Unpadded items are run together up to this many patches: they share the cost of reading weights. */
export const MAX_PATCHES_A_RUN = 4096;

export function encoderItemSpecs(grids: readonly GridThw[], spatialMergeSize: number): EncoderItemSpec[] {
  return grids.map((grid) => ({
    inputSize: numPatches(grid),
    outputTokens: numMergedTokens(grid, spatialMergeSize),
    frames: grid[0],
  }));
}

/**
 * Budgets from `minTokens` on, each twice the one before, the last one `maxTokens`: a batch is padded to less than
 * twice its size.
 */
export function encoderBudgets(
  minTokens: number,
  maxTokens: number,
  spatialMergeSize: number,
): EncoderBudget[] {
  const tokens: number[] = [];
  for (let next = minTokens; next < maxTokens; next *= 2) tokens.push(next);
  return [...tokens, maxTokens].map((count) => encoderBudget(count, spatialMergeSize));
}

/** The budget of a program that gives `tokens` features. */
export function encoderBudget(tokens: number, spatialMergeSize: number): EncoderBudget {
  return { patches: tokens * spatialMergeSize ** 2, frames: Math.ceil(tokens / TOKENS_PER_FRAME) };
}

/** Features that a run at the largest budget gives, with those of its padding. */
export function mostPaddedFeatures(budgets: readonly EncoderBudget[], spatialMergeSize: number): number {
  return Math.max(0, ...budgets.map(({ patches }) => patches)) / spatialMergeSize ** 2;
}

/**
 * Puts consecutive items together as far as the largest budget goes, and gives each run the smallest budget it fits.
 * Items that fit none run unpadded, neighbours together up to a limit. The order of items stays, as their features must.
 */
export function packEncoderItems(
  specs: readonly EncoderItemSpec[],
  budgets: readonly EncoderBudget[],
): EncoderRun[] {
  const ascending = [...budgets].sort((a, b) => a.patches - b.patches);
  const smallest = (patches: number, frames: number) =>
    ascending.find((budget) => patches <= budget.patches && frames <= budget.frames) ?? null;
  const runs: EncoderRun[] = [];
  let patches = 0;
  let frames = 0;
  specs.forEach((spec, index) => {
    const last = runs.at(-1);
    const alone = smallest(spec.inputSize, spec.frames);
    const together = smallest(patches + spec.inputSize, frames + spec.frames);
    const shareUnpadded = !last?.budget && !alone && patches + spec.inputSize <= MAX_PATCHES_A_RUN;
    if (last && (together || shareUnpadded)) {
      patches += spec.inputSize;
      frames += spec.frames;
      runs[runs.length - 1] = { ...last, count: last.count + 1, budget: together };
    } else {
      patches = spec.inputSize;
      frames = spec.frames;
      runs.push({ first: index, count: 1, budget: alone });
    }
  });
  return runs;
}

/** Sizes of a run of the encoder program for items that run together, padded to a budget. */
export function encoderRunSymbols(specs: readonly EncoderItemSpec[], budget: EncoderBudget | null) {
  if (budget) return { patches: budget.patches, frames: budget.frames + 1 };
  return specs.reduce(
    (sum, { inputSize, frames }) => ({ patches: sum.patches + inputSize, frames: sum.frames + frames }),
    { patches: 0, frames: 0 },
  );
}

/** Symbols and inputs of the encoder program for items that run together: pixels and all that follows from grids. */
export function prepareEncoderInputs(
  items: readonly EncoderItem[],
  config: VisionConfig,
  budget?: EncoderBudget,
) {
  const grids = items.map(({ gridThw }) => gridThw);
  const { symbols, metadata } = prepareEncoderMetadata(grids, config, budget);
  const pixelValues = joined(items, symbols.patches * patchElements(config));
  return { symbols, inputs: { pixelValues, ...metadata } };
}

/** The items' pixels with zeros behind them up to `length`. */
function joined(items: readonly EncoderItem[], length: number): Float32Array {
  const [only] = items;
  if (items.length === 1 && only?.pixelValues.length === length) return only.pixelValues;
  const all = new Float32Array(length);
  let offset = 0;
  for (const { pixelValues } of items) {
    all.set(pixelValues, offset);
    offset += pixelValues.length;
  }
  return all;
}
