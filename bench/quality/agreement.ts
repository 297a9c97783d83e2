/** How near a model's choices are to f32's, over positions of the same texts. */

/** A lead of the likeliest token over the second that no rounding should turn. */
export const CLEAR_LEAD = 0.5;

export interface Agreement {
  readonly positions: number;
  /** Share of positions where f32's likeliest token leads by `CLEAR_LEAD` or more. */
  readonly clear: number;
  /** Share of those where the likeliest token is the same; 1 where there are none. */
  readonly top1: number;
  /** The same over all positions. */
  readonly top1OfAll: number;
  /** Mean Kullback-Leibler divergence from f32's next-token distribution, in nats. */
  readonly kl: number;
  /** Share of texts whose every token would be the same. */
  readonly sameTexts: number;
}

/** @param expected f32's logits by text and position; `found` has as many. */
export function agreement(
  expected: readonly (readonly Float32Array[])[],
  found: readonly (readonly Float32Array[])[],
): Agreement {
  let [positions, clear, clearSame, same, kl, sameTexts] = [0, 0, 0, 0, 0, 0];
  for (const [text, ofText] of expected.entries()) {
    let isSameText = true;
    for (const [position, logits] of ofText.entries()) {
      const other = found[text]?.[position] as Float32Array;
      const { best, lead } = leader(logits);
      const isSame = leader(other).best === best;
      positions++;
      if (lead >= CLEAR_LEAD) {
        clear++;
        if (isSame) clearSame++;
      }
      if (isSame) same++;
      else isSameText = false;
      kl += divergence(logits, other);
    }
    if (isSameText) sameTexts++;
  }
  return {
    positions,
    clear: clear / positions,
    top1: clear === 0 ? 1 : clearSame / clear,
    top1OfAll: same / positions,
    kl: kl / positions,
    sameTexts: sameTexts / expected.length,
  };
}

function leader(logits: Float32Array): { best: number; lead: number } {
  let best = 0;
  let second = Number.NEGATIVE_INFINITY;
  for (let token = 1; token < logits.length; token++) {
    const value = logits[token] as number;
    if (value > (logits[best] as number)) {
      second = logits[best] as number;
      best = token;
    } else if (value > second) {
      second = value;
    }
  }
  return { best, lead: (logits[best] as number) - second };
}

/** Σ p ln(p / q) */
function divergence(expected: Float32Array, found: Float32Array): number {
  const [p, q] = [logProbabilities(expected), logProbabilities(found)];
  return p.reduce((sum, logP, token) => sum + Math.exp(logP) * (logP - (q[token] as number)), 0);
}

function logProbabilities(logits: Float32Array): Float64Array {
  const largest = logits.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY);
  let total = 0;
  for (const value of logits) total += Math.exp(value - largest);
  const shift = largest + Math.log(total);
  return Float64Array.from(logits, (value) => value - shift);
}
