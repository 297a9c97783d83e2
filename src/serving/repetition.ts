/** Loops: an answer whose last tokens are one pattern, again and again. */

/** What counts as a loop. */
export interface RepetitionDetection {
  /** Fewest tokens of a pattern; default 1. */
  readonly minPatternSize?: number | undefined;
  /** Most tokens of a pattern. */
  readonly maxPatternSize: number;
  /** How often it has to come, one right behind the other; at least 2. */
  readonly minCount: number;
  /** Fewest tokens that it has to fill with all its repetitions; default: none. */
  readonly minLength?: number | undefined;
}

/**
 * What `true` stands for. No page has as many equal rows, labels or cells in a row, nor as many dots behind an entry of
 * its contents; loops of models go on until something ends them.
 */
export const USUAL_DETECTION: RepetitionDetection = { maxPatternSize: 128, minCount: 64, minLength: 256 };

/** Most tokens of a pattern: each token of an answer is compared with as many. */
export const LONGEST_PATTERN = 4096;

export class RepetitionDetector {
  readonly #tokens: number[] = [];
  /** By the size of a pattern: how many of the last tokens are what stood that far before. */
  readonly #equal: Uint32Array;
  /** By the same: how many have to be. */
  readonly #needed: Uint32Array;
  readonly #smallest: number;

  constructor({ minPatternSize = 1, maxPatternSize, minCount, minLength = 0 }: RepetitionDetection) {
    this.#smallest = minPatternSize;
    this.#equal = new Uint32Array(maxPatternSize + 1);
    this.#needed = Uint32Array.from({ length: maxPatternSize + 1 }, (_, size) => {
      const count = Math.max(minCount, size === 0 ? 0 : Math.ceil(minLength / size));
      return size * (count - 1);
    });
  }

  /** @returns whether the tokens so far end in a loop */
  push(token: number): boolean {
    const length = this.#tokens.push(token);
    const largest = Math.min(this.#equal.length, length) - 1;
    let isLoop = false;
    for (let size = this.#smallest; size <= largest; size++) {
      const equal = this.#tokens[length - 1 - size] === token ? (this.#equal[size] as number) + 1 : 0;
      this.#equal[size] = equal;
      isLoop ||= equal >= (this.#needed[size] as number);
    }
    return isLoop;
  }
}
