/**
 * Attention over a cache in q8 by integers: what backends with such a cache compute, to the bit. Every number is float32, and
 * each operation rounds by itself (no fused multiply-add) but for the sums of integers, which are exact.
 *
 * 1. q, scaled by `scale` log2 e, becomes integers of 16 bits that share a scale.
 * 2. A score is one chain over the key's blocks of 32 dimensions, score = score + isum * (the block's scale), times q's scale.
 * 3. Keys come in blocks of 96. A block's weights are 2^(score - m), where m, an integer, is kept until a score is more than
 *    16 larger; what was summed before is then multiplied by the power of two that is the difference.
 * 4. A block's weights times the values' scales become, for each 32 dimensions, integers of 14 bits that share a scale, and
 *    the output adds isum * scale. Weights are added up too, and divide the output in the end.
 *
 * What is not finite makes a scale NaN, and all that is multiplied with it.
 */
import { BLOCK_COLS, largestMagnitude } from "../../tensor/blocks.ts";
import { type BlockRows, LEAST_MAGNITUDE, partOf, toNearest } from "./block-product.ts";

const { fround } = Math;
const LOG2_E = fround(Math.LOG2E);

/** Keys of a block. It has six runs of 16: slot 6 i + c is key 16 c + i, in which order weights are added up. */
const BLOCK_KEYS = 96;
const RUNS = 6;
const RUN_KEYS = 16;
/** Chains that weights are added up in: slot mod 4. */
const CHAINS = 4;
/** By how much a score may exceed the reference. */
const HEADROOM = 16;
/** The largest integers: of 16 bits, and of 14, which are two bytes of 7. */
const MOST_OF_QUERY = 32767;
const MOST_OF_WEIGHTS = 16383;
const LOWEST = fround(-3.4028234663852886e38);

/** Integers, each of which times the scale is a value. */
interface Rounded {
  readonly integers: Int16Array;
  readonly scale: number;
}

/** The attention of one query over the first `visible` keys and values. */
export function attendBlocks(
  query: Float32Array,
  keys: BlockRows,
  values: BlockRows,
  visible: number,
  scale: number,
): Float32Array {
  const factor = fround(fround(scale) * LOG2_E);
  const q = rounded(
    query.map((value) => value * factor),
    MOST_OF_QUERY,
  );
  const output = new Float32Array(query.length);
  let [reference, total] = [LOWEST, 0];
  for (let first = 0; first < visible; first += BLOCK_KEYS) {
    const count = Math.min(BLOCK_KEYS, visible - first);
    const scores = Float32Array.from({ length: count }, (_, key) => scoreOf(q, keys, first + key));
    const next = nextReference(reference, scores);
    const fade = exp2(fround(reference - next));
    const weights = scores.map((score) => exp2(fround(score - next)));
    total = fround(fround(total * fade) + sumOfWeights(weights));
    reference = next;
    for (let block = 0; block < output.length / BLOCK_COLS; block++) {
      addBlock(output, weights, values, first, block, fade);
    }
  }
  return output.map((value) => value / total);
}

/** The largest of them becomes `most`. */
function rounded(values: Float32Array, most: number): Rounded {
  const largest = largestMagnitude(values);
  const integers = new Int16Array(values.length);
  if (!Number.isFinite(largest)) return { integers, scale: Number.NaN };
  if (largest < LEAST_MAGNITUDE) return { integers, scale: 0 };
  const inverse = fround(most / largest);
  for (let i = 0; i < integers.length; i++) integers[i] = toNearest(fround((values[i] as number) * inverse));
  return { integers, scale: fround(largest / most) };
}

function scoreOf(q: Rounded, keys: BlockRows, key: number): number {
  const [quants, scales] = partOf(keys, key);
  let score = 0;
  scales.forEach((scale, block) => {
    let sum = 0;
    for (let d = block * BLOCK_COLS; d < (block + 1) * BLOCK_COLS; d++) {
      sum += (q.integers[d] as number) * (quants[d] as number);
    }
    score = fround(score + fround(fround(sum) * numberOrNaN(scale)));
  });
  return fround(score * q.scale);
}

function numberOrNaN(value: number): number {
  return Number.isFinite(value) ? value : Number.NaN;
}

function nextReference(reference: number, scores: Float32Array): number {
  let top = reference;
  for (const score of scores) if (score > top) top = score;
  return top > fround(reference + HEADROOM) ? nearest(top) : reference;
}

/** A whole number, ties to even. */
function nearest(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 !== 0) ? floor + 1 : floor;
}

// biome-ignore lint/suspicious/noApproximativeNumericConstant: near ln 2, but of another polynomial.
const POWER = [1.3264727e-3, 9.671513e-3, 5.5507336e-2, 0.24022242, 0.693147, 1].map(fround);

/** 2^x for x below 127; below -126 it is 2^-126. */
function exp2(x: number): number {
  if (Number.isNaN(x)) return x;
  const bounded = Math.max(x, -126);
  const whole = toNearest(bounded);
  const rest = fround(bounded - whole);
  return POWER.reduce((sum, factor) => fround(fround(sum * rest) + factor)) * 2 ** whole;
}

function sumOfWeights(weights: Float32Array): number {
  const chains = new Float32Array(CHAINS);
  for (let slot = 0; slot < BLOCK_KEYS; slot++) {
    const key = (slot % RUNS) * RUN_KEYS + Math.floor(slot / RUNS);
    const chain = slot % CHAINS;
    if (key < weights.length) chains[chain] = (chains[chain] as number) + (weights[key] as number);
  }
  const [a, b, c, d] = chains as unknown as [number, number, number, number];
  return fround(fround(a + b) + fround(c + d));
}

/** What a block of keys adds to 32 dimensions of the output, which fades first. */
function addBlock(
  output: Float32Array,
  weights: Float32Array,
  values: BlockRows,
  first: number,
  block: number,
  fade: number,
): void {
  const rows = Array.from(weights, (_, key) => partOf(values, first + key));
  const { integers, scale } = rounded(
    weights.map((weight, key) => weight * numberOrNaN(rows[key]?.[1][block] as number)),
    MOST_OF_WEIGHTS,
  );
  for (let d = block * BLOCK_COLS; d < (block + 1) * BLOCK_COLS; d++) {
    let sum = 0;
    rows.forEach(([quants], key) => {
      sum += (integers[key] as number) * (quants[d] as number);
    });
    output[d] = fround((output[d] as number) * fade) + fround(fround(sum) * scale);
  }
}
