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
