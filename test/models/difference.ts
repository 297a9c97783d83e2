/** How far two vectors are apart. */
import * as assert from "uvu/assert";

export function largestDifference(found: Float32Array, expected: Float32Array): number {
  assert.is(found.length, expected.length);
  // Math.max keeps a NaN, which no tolerance allows.
  return expected.reduce(
    (most, value, index) => Math.max(most, Math.abs(value - (found[index] as number))),
    0,
  );
}

/** Of equal ones the first. */
export function argmax(values: Float32Array): number {
  let best = 0;
  for (let index = 1; index < values.length; index++) {
    if ((values[index] as number) > (values[best] as number)) best = index;
  }
  return best;
}
