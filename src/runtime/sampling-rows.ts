/** What the ops `adjust_logits` and `sample`, at the end of the decoder's program, read of each answer. */
import { maskWords } from "../models/decoder.ts";

/** A row of what the op `sample` reads. */
export interface SamplingRow {
  /** temperature, topP, minP */
  readonly settings: readonly [number, number, number];
  /** topK, and a number drawn uniformly from the 32-bit ones. */
  readonly choices: readonly [number, number];
  /** What is done to its logits before; nothing where it is left out. */
  readonly adjustments?: LogitAdjustments | undefined;
}

export interface LogitAdjustments {
  /** One after another: of several changes of one token the last counts. */
  readonly changes: readonly LogitChanges[];
  /** maskWords(vocabSize) words: token t may be chosen where bit t % 32 of word t / 32 is set. Null allows all. */
  readonly mask: Int32Array | null;
}

/** Logit l of token ids[i] becomes (l > 0 ? l / factor : l * factor) + addend. */
export interface LogitChanges {
  readonly ids: Int32Array;
  /** Factor and addend of each. */
  readonly values: Float32Array;
}

/**
 * Rows as the decoder's program reads them. Lists and masks are padded to few lengths, so that steps repeat; rows without
 * adjustments take no part in them.
 */
export function samplingInputs(rows: readonly SamplingRow[], vocabSize: number) {
  const samplingSettings = new Float32Array(3 * rows.length);
  const samplingChoices = new Int32Array(2 * rows.length);
  const adjustedAs = new Int32Array(rows.length).fill(-1);
  const adjustedRows: number[] = [];
  const adjusted: LogitAdjustments[] = [];
  rows.forEach(({ settings, choices, adjustments }, row) => {
    samplingSettings.set(settings, 3 * row);
    // A draw of 2^31 and more is kept by its bits.
    samplingChoices.set(choices, 2 * row);
    if (!adjustments) return;
    adjustedAs[row] = adjusted.length;
    adjustedRows.push(row);
    adjusted.push(adjustments);
  });
  const sampling = { samplingSettings, samplingChoices, adjustedAs };
  return {
    ...sampling,
    adjustedRows: Int32Array.from(adjustedRows),
    ...adjustmentInputs(adjusted, vocabSize),
  };
}

function adjustmentInputs(rows: readonly LogitAdjustments[], vocabSize: number) {
  const cuAdjustedIds = new Int32Array(rows.length + 1);
  rows.forEach(({ changes }, row) => {
    cuAdjustedIds[row + 1] = changes.reduce((sum, { ids }) => sum + ids.length, cuAdjustedIds[row] as number);
  });
  const count = padded(cuAdjustedIds[rows.length] as number);
  const adjustedIds = new Int32Array(count).fill(-1);
  const logitChanges = new Float32Array(2 * count);
  let at = 0;
  for (const { ids, values } of rows.flatMap(({ changes }) => changes)) {
    adjustedIds.set(ids, at);
    logitChanges.set(values, 2 * at);
    at += ids.length;
  }
  // Rows that share a mask, as drafts of one answer do, share its bits.
  const masks = [...new Set(rows.flatMap(({ mask }) => mask ?? []))];
  const words = maskWords(vocabSize);
  const tokenMasks = new Int32Array(padded(masks.length) * words);
  masks.forEach((mask, index) => {
    tokenMasks.set(mask, index * words);
  });
  const tokenMaskOf = Int32Array.from(rows, ({ mask }) => (mask ? masks.indexOf(mask) : -1));
  return { cuAdjustedIds, adjustedIds, logitChanges, tokenMasks, tokenMaskOf };
}

/** Sizes of these inputs, as the decoder's program names them. */
export function samplingSymbols(inputs: ReturnType<typeof samplingInputs>, vocabSize: number) {
  return {
    logits: inputs.adjustedAs.length,
    adjusted: inputs.adjustedRows.length,
    changes: inputs.adjustedIds.length,
    masks: inputs.tokenMasks.length / maskWords(vocabSize),
  };
}

/** Of steps whose logits nobody adjusts, and of which nobody asks what rows attend to. */
export const PLAIN_STEP = { adjusted: 0, changes: 0, masks: 0, attending: 0 };

function padded(count: number): number {
  return count === 0 ? 0 : 2 ** Math.ceil(Math.log2(count));
}

/** Takes the largest logit. */
export const GREEDY: SamplingRow = { settings: [0, 1, 0], choices: [0, 0] };
