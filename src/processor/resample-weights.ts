/**
 * Weights of an antialiased bicubic resize along one axis, in the two integer recipes in use.
 *
 * Both sample Keys' cubic (a = -0.5), stretched by the scale when shrinking, at the pixel centres, normalise the
 * weights of an output pixel to 1 in float64, and round them to a fixed-point number. They differ in its precision:
 * - "pillow": 22 bits always (src/libImaging/Resample.c);
 * - "torchvision": int16 weights with the most bits that the largest weight of the pass allows
 *   (aten/src/ATen/native/cpu/UpSampleKernel.cpp in PyTorch, for uint8 tensors).
 */

/** Whose integer arithmetic a resize follows. */
export type Rounding = "torchvision" | "pillow";

export interface ResampleWeights {
  /** First source pixel and number of source pixels of each output pixel: i32 [outLength]. */
  readonly starts: Int32Array;
  readonly counts: Int32Array;
  /** Fixed-point weights, i32 [outLength, taps]; only the first counts[i] of a row are used. */
  readonly weights: Int32Array;
  readonly taps: number;
  /** Fraction bits of the weights. */
  readonly precision: number;
}

const CUBIC_SUPPORT = 2;
const PILLOW_PRECISION = 32 - 8 - 2;
const INT16_LIMIT = 1 << 15;

/** Weights that resample `inLength` pixels to `outLength`. */
export function resampleWeights(inLength: number, outLength: number, rounding: Rounding): ResampleWeights {
  const scale = inLength / outLength;
  const stretch = Math.max(scale, 1);
  const support = CUBIC_SUPPORT * stretch;
  const taps = Math.ceil(support) * 2 + 1;
  const starts = new Int32Array(outLength);
  const counts = new Int32Array(outLength);
  const exact = new Float64Array(outLength * taps);
  for (let i = 0; i < outLength; i++) {
    const centre = scale * (i + 0.5);
    const start = Math.max(Math.trunc(centre - support + 0.5), 0);
    const count = Math.min(Math.trunc(centre + support + 0.5), inLength) - start;
    starts[i] = start;
    counts[i] = count;
    fillWeights(exact.subarray(i * taps, i * taps + count), start - centre + 0.5, 1 / stretch);
  }
  const precision = rounding === "pillow" ? PILLOW_PRECISION : int16Precision(exact);
  const unit = 2 ** precision;
  const weights = Int32Array.from(exact, (weight) => Math.trunc(weight * unit + (weight < 0 ? -0.5 : 0.5)));
  return { starts, counts, weights, taps, precision };
}

/** The cubic at (first + k) / stretch, normalised to a sum of 1. */
function fillWeights(weights: Float64Array, first: number, inverseStretch: number): void {
  let sum = 0;
  for (let k = 0; k < weights.length; k++) {
    const weight = keysCubic((k + first) * inverseStretch);
    weights[k] = weight;
    sum += weight;
  }
  for (let k = 0; k < weights.length; k++) weights[k] = (weights[k] as number) / sum;
}

/** Keys' cubic convolution kernel with a = -0.5. */
function keysCubic(signed: number): number {
  const a = -0.5;
  const x = Math.abs(signed);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

/** Most fraction bits (at most 22) with which the largest weight is still an int16. */
function int16Precision(weights: Float64Array): number {
  let largest = 0;
  for (const weight of weights) largest = Math.max(largest, weight);
  let precision = 0;
  while (precision < PILLOW_PRECISION && Math.trunc(0.5 + largest * 2 ** (precision + 1)) < INT16_LIMIT) {
    precision += 1;
  }
  return precision;
}
