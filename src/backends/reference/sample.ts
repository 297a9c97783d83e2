/**
 * sample: chooses a token from a row of logits. This is the algorithm that every backend follows to the bit:
 *
 * 1. l = logit, of the row itself or, where it has one, of its adjusted row (adjust-logits.ts).
 * 2. At temperature 0 the largest l is chosen, the lowest token among equals.
 * 3. weight = floor(2^31 e^x), x = (l - largest) / temperature, by the steps of `weightOf`. Weights are integers of at
 *    most 2^31, and a row has fewer than 2^22, so that sums are exact in any order.
 * 4. Tokens in the order of falling weight, of equal ones the lower token first, are cut by topK (0 keeps all, and what
 *    weighs as much as the last is kept too); then by topP: kept while the weights before are below topP times their sum;
 *    then by minP times 2^31.
 * 5. With target = draw / 2^32 times the sum of what is kept, the first token (by number) whose running sum exceeds it.
 *
 * Numbers are float32 and each operation rounds by itself (no fused multiply-add); those with sums are float64. The
 * order of the steps is that of transformers' logits processors.
 */
import { checkedIndex, type Kernel, type Kernels } from "./kernel.ts";

export interface RowSettings {
  readonly temperature: number;
  readonly topP: number;
  readonly minP: number;
  readonly topK: number;
}

const sample: Kernel<"sample"> = ({ logits, adjusted, adjustedAs, settings, choices }, { tokens }) => {
  const row = new Float32Array(logits.cols);
  const settingsOf = settings.toFloat32();
  const choicesOf = choices.toInt32();
  const adjustedRows = adjustedAs.toInt32();
  for (const index of adjustedRows)
    if (index !== -1) checkedIndex("sample", "adjusted row", index, adjusted.rows);
  for (let m = 0; m < logits.rows; m++) {
    const source = adjustedRows[m] as number;
    if (source < 0) logits.readRow(m, row);
    else adjusted.readRow(source, row);
    const [temperature, topP, minP] = [...settingsOf.subarray(3 * m, 3 * m + 3)] as [number, number, number];
    const topK = choicesOf[2 * m] as number;
    const draw = (choicesOf[2 * m + 1] as number) >>> 0;
    tokens.writeRow(m, [chooseToken(row, { temperature, topP, minP, topK }, draw)]);
  }
};

function chooseToken(logits: Float32Array, settings: RowSettings, draw: number): number {
  const best = largest(logits);
  if (!Number.isFinite(logits[best]) || logits.some(Number.isNaN)) return -1;
  if (settings.temperature === 0) return best;
  const weights = keptWeights(logits, settings);
  const target = (draw / 2 ** 32) * sum(weights);
  let running = 0;
  return weights.findIndex((weight) => {
    running += weight;
    return running > target;
  });
}

/** The weight of each token, 0 of those that are cut. */
export function keptWeights(
  logits: Float32Array,
  { temperature, topP, minP, topK }: RowSettings,
): Float64Array {
  const top = logits[largest(logits)] as number;
  const weights = Float64Array.from(logits, (logit) => weightOf(f32(f32(logit - top) / temperature)));
  const order = [...weights.keys()].filter((token) => weights[token] !== 0);
  order.sort((a, b) => (weights[b] as number) - (weights[a] as number) || a - b);
  const least = weights[order[topK - 1] as number] ?? 0;
  const first = topK > 0 ? order.filter((token) => (weights[token] as number) >= least) : order;
  const limit = topP * sum(first.map((token) => weights[token] as number));
  const kept = new Float64Array(weights.length);
  let before = 0;
  for (const token of first) {
    const weight = weights[token] as number;
    if (before < limit && weight >= minP * 2 ** 31) kept[token] = weight;
    before += weight;
  }
  return kept;
}

const f32 = Math.fround;

const LOG2_E = f32(Math.LOG2E);
/** Adding and subtracting 1.5 * 2^23 rounds to an integer. */
const ROUNDER = 12582912;
/** ln 2 in two pieces; products with the first are exact. */
const LN2_HIGH = 0.693359375;
const LN2_LOW = f32(-2.1219444e-4);
/** (e^r - 1 - r) / r² on |r| <= ln 2 / 2, highest power first: Cephes' expf. */
const POLYNOMIAL = [
  1.98756915e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1,
].map(f32);
/** e^-22 2^31 is below 1. */
const LOWEST = -22;

/** floor(2^31 e^x) for x <= 0: e^x = 2^n e^r with n = round(x / ln 2). What is no such x weighs nothing. */
function weightOf(x: number): number {
  if (!(x >= LOWEST && x <= 0)) return 0;
  const n = f32(f32(f32(x * LOG2_E) + ROUNDER) - ROUNDER);
  const r = f32(f32(x - f32(n * LN2_HIGH)) - f32(n * LN2_LOW));
  const p = POLYNOMIAL.reduce((value, next) => f32(f32(value * r) + next));
  const power = f32(f32(f32(p * f32(r * r)) + r) + 1);
  return Math.floor(power * 2 ** (31 + n));
}

/** Of equal ones the first; NaN is passed over. */
function largest(values: Float32Array): number {
  let best = 0;
  for (let index = 1; index < values.length; index++) {
    if ((values[index] as number) > (values[best] as number)) best = index;
  }
  return best;
}

function sum(values: Iterable<number>): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}

export const sampleKernels = {
  sample,
} satisfies Kernels;
