/**
 * Chooses the next token. Steps in the order of transformers' logits processors: repetition penalty, temperature,
 * top-k, top-p, min-p. Pure but for the generator's state; the same seed and logits give the same choice.
 */
import { GlimtError } from "../errors.ts";

export interface SamplingOptions {
  /** 0 chooses the largest logit. */
  readonly temperature: number;
  /** Keep the k most probable tokens; 0 keeps all. */
  readonly topK: number;
  /** Keep the smallest set of most probable tokens whose probabilities reach p. */
  readonly topP: number;
  /** Drop tokens less probable than minP times the most probable one. */
  readonly minP: number;
  /** Divides positive and multiplies negative logits of tokens already in the context; 1 is off. */
  readonly repetitionPenalty: number;
  readonly seed: number;
}

export function validateSampling(options: SamplingOptions): void {
  const rules: [keyof SamplingOptions, boolean, string][] = [
    ["temperature", options.temperature >= 0 && Number.isFinite(options.temperature), "a number from 0"],
    ["topK", Number.isInteger(options.topK) && options.topK >= 0, "a whole number from 0"],
    ["topP", options.topP > 0 && options.topP <= 1, "above 0 and at most 1"],
    ["minP", options.minP >= 0 && options.minP <= 1, "from 0 to 1"],
    [
      "repetitionPenalty",
      options.repetitionPenalty > 0 && Number.isFinite(options.repetitionPenalty),
      "above 0",
    ],
    ["seed", Number.isInteger(options.seed) && options.seed >= 0, "a whole number from 0"],
  ];
  for (const [name, valid, expected] of rules) {
    if (!valid) throw new GlimtError("OPTION_INVALID", `${name} is ${options[name]}, expected ${expected}.`);
  }
}

export class Sampler {
  readonly #options: SamplingOptions;
  readonly #random: () => number;

  constructor(options: SamplingOptions) {
    validateSampling(options);
    this.#options = options;
    this.#random = seededRandom(options.seed);
  }

  /**
   * @param context every token so far, prompt included. Changes `logits` when a repetition penalty is set.
   * @throws TENSOR_INVALID when the logits are no numbers
   */
  sample(logits: Float32Array, context: Iterable<number>): number {
    const { repetitionPenalty, temperature } = this.#options;
    if (repetitionPenalty !== 1) penalise(logits, new Set(context), repetitionPenalty);
    const best = argmax(logits);
    requireFinite(logits[best] as number);
    if (temperature === 0) return best;
    const candidates = this.#candidates(logits);
    const total = candidates.reduce((sum, { weight }) => sum + weight, 0);
    let target = this.#random() * total;
    for (const { token, weight } of candidates) {
      target -= weight;
      if (target < 0) return token;
    }
    return (candidates.at(-1) as Candidate).token;
  }

  /** Tokens that may be chosen, most probable first, with unnormalised probabilities. */
  #candidates(logits: Float32Array): Candidate[] {
    const { temperature, topK, topP, minP } = this.#options;
    const top = logits[argmax(logits)] as number;
    // e^-50 of the top's weight is below what the 32-bit generator can ever draw; most of a vocabulary is.
    const sorted = largest(logits, topK === 0 ? logits.length : topK, top - 50 * temperature);
    const weighted = Array.from(sorted, (token) => ({
      token,
      weight: Math.exp(((logits[token] as number) - top) / temperature),
    }));
    const total = weighted.reduce((sum, { weight }) => sum + weight, 0);
    let before = 0;
    const nucleus = weighted.filter(({ weight }) => {
      const kept = before < topP * total;
      before += weight;
      return kept;
    });
    return nucleus.filter(({ weight }) => weight >= minP);
  }
}

interface Candidate {
  readonly token: number;
  readonly weight: number;
}

/** The `count` largest logits as [token, logit], largest first; ties by lower token. */
export function topLogits(logits: Float32Array, count: number): [token: number, logit: number][] {
  return Array.from(largest(logits, count), (token) => [token, logits[token] as number]);
}

export function argmax(values: Float32Array): number {
  let best = 0;
  for (let index = 1; index < values.length; index++) {
    if ((values[index] as number) > (values[best] as number)) best = index;
  }
  return best;
}

function largest(logits: Float32Array, count: number, above = Number.NEGATIVE_INFINITY): number[] {
  const order: number[] = [];
  for (let token = 0; token < logits.length; token++) {
    if ((logits[token] as number) >= above) order.push(token);
  }
  order.sort((a, b) => (logits[b] as number) - (logits[a] as number) || a - b);
  return order.slice(0, count);
}

function penalise(logits: Float32Array, tokens: ReadonlySet<number>, penalty: number): void {
  for (const token of tokens) {
    const logit = logits[token] as number;
    logits[token] = logit > 0 ? logit / penalty : logit * penalty;
  }
}

/** SplitMix32: uniform numbers in [0, 1), the same on every platform for a seed. */
function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let mixed = state ^ (state >>> 16);
    mixed = Math.imul(mixed, 0x21f0aaad);
    mixed ^= mixed >>> 15;
    mixed = Math.imul(mixed, 0x735a2d97);
    return ((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 32;
  };
}

/** NaN anywhere in a prompt or an activation ends in logits that are all NaN. */
function requireFinite(largestLogit: number): void {
  if (Number.isFinite(largestLogit)) return;
  throw new GlimtError(
    "TENSOR_INVALID",
    `The largest logit is ${largestLogit}: pixels or embeddings that were given hold NaN or infinity, or an ` +
      "activation left the range of its type; try another dtype or backend.",
  );
}
