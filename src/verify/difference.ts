/** How far what was found is from what was expected. */

export interface Difference {
  /** Largest absolute difference; NaN where one of the values is. */
  readonly largest: number;
  /** The same as a share of the spread of the expected values, the largest less the smallest. */
  readonly share: number;
  /** Root of the mean square of the differences, as a share of that of the expected values. */
  readonly relative: number;
  /** Where the largest is. */
  readonly at: number;
}

/** Of arrays of one length, at least one element. @param spread of the values around, where `expected` are not all of them */
export function differenceOf(
  found: ArrayLike<number>,
  expected: ArrayLike<number>,
  spread = spreadOf(expected),
): Difference {
  let [largest, at, squares, norm] = [0, 0, 0, 0];
  for (let index = 0; index < expected.length; index++) {
    const value = expected[index] as number;
    const difference = Math.abs(value - (found[index] as number));
    squares += difference * difference;
    norm += value * value;
    // Not less nor equal: a NaN, which stays.
    if (!(difference <= largest) && !Number.isNaN(largest)) [largest, at] = [difference, index];
  }
  return { largest, share: ratio(largest, spread), relative: Math.sqrt(ratio(squares, norm)), at };
}

export function spreadOf(values: ArrayLike<number>): number {
  let [least, most] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (let index = 0; index < values.length; index++) {
    least = Math.min(least, values[index] as number);
    most = Math.max(most, values[index] as number);
  }
  return most - least;
}

/** Nothing of nothing is nothing. */
function ratio(part: number, whole: number): number {
  return part === 0 ? 0 : part / whole;
}
