/** What the op `sample`, at the end of the decoder's program, reads of each answer. */

/** A row of what the op `sample` reads. */
export interface SamplingRow {
  /** temperature, topP, minP, repetitionPenalty */
  readonly settings: readonly [number, number, number, number];
  /** topK, and a number drawn uniformly from the 32-bit ones. */
  readonly choices: readonly [number, number];
  /** Different tokens that the penalty is for; none when it is off. */
  readonly penalised: ArrayLike<number>;
}

/** Rows as the decoder's program reads them. The list of tokens is padded to few lengths, so that steps repeat. */
export function samplingInputs(rows: readonly SamplingRow[]) {
  const samplingSettings = new Float32Array(4 * rows.length);
  const samplingChoices = new Int32Array(2 * rows.length);
  const cuPenalised = new Int32Array(rows.length + 1);
  rows.forEach(({ settings, choices, penalised }, row) => {
    samplingSettings.set(settings, 4 * row);
    // A draw of 2^31 and more is kept by its bits.
    samplingChoices.set(choices, 2 * row);
    cuPenalised[row + 1] = (cuPenalised[row] as number) + penalised.length;
  });
  const count = cuPenalised[rows.length] as number;
  const penalised = new Int32Array(count === 0 ? 0 : 2 ** Math.ceil(Math.log2(count))).fill(-1);
  rows.forEach(({ penalised: tokens }, row) => {
    penalised.set(tokens, cuPenalised[row]);
  });
  return { samplingSettings, samplingChoices, penalised, cuPenalised };
}

/** Takes the largest logit. */
export const GREEDY: SamplingRow = { settings: [0, 1, 0, 1], choices: [0, 0], penalised: [] };
