/** How far a batch is. */

export interface BatchProgress {
  /** Of the input, blank ones not counted. */
  readonly lines: number;
  /** Of them with an answer in the output, also those of earlier runs. */
  readonly answered: number;
  /** Of the answered ones: the answer is an error. */
  readonly failed: number;
  /** Tokens of the prompts of this run. */
  readonly promptTokens: number;
  /** Tokens of the answers of this run. */
  readonly completionTokens: number;
  /** Of this run. */
  readonly milliseconds: number;
  /** Until all is answered, if it goes on as so far; null before the first answer of this run. */
  readonly secondsLeft: number | null;
}
