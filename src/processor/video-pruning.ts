/**
 * Which tokens of a video are left when it is pruned: those that differ most from what stood at their place one frame
 * before. Efficient video sampling (EVS, arXiv 2510.14624) by vLLM's algorithm (multimodal/evs.py). A frame is a step of the
 * temporal grid, which is `temporalPatchSize` pictures.
 */

/** A first frame differs from nothing before it: more than 1 - cosine can be, which is at most 2. */
export const FIRST_FRAME = 255;
/** Of torch.cosine_similarity: the least length of a feature. */
const EPSILON = 1e-8;

/**
 * Tokens that are left of a video of `frames` frames of `tokensPerFrame` tokens: a share of 1 - rate, 0 <= rate < 1, and
 * never fewer than one frame has. As Python computes it, in doubles that are cut off: at 0.9 1000 tokens leave 99, since
 * 1 - 0.9 is a little below 0.1.
 */
export function retainedTokens(tokensPerFrame: number, frames: number, rate: number): number {
  return Math.max(tokensPerFrame, Math.trunc(tokensPerFrame * frames * (1 - rate)));
}

/**
 * 1 - cosine of each row of `after` with the same row of `before`, both [rows, width]. Sums are doubles in one order, and
 * the cosine is rounded to float32: equal rows differ by 0 exactly, so that what stands still is a tie on every host. Rows
 * with values that are no numbers differ by Infinity: torch too sorts NaN before all.
 */
export function differences(before: Float32Array, after: Float32Array, width: number): Float32Array {
  return new Float32Array(after.length / width).map((_, row) => {
    let [product, squaresBefore, squaresAfter] = [0, 0, 0];
    for (let at = row * width; at < (row + 1) * width; at++) {
      const [a, b] = [before[at] as number, after[at] as number];
      product += a * b;
      squaresBefore += a * a;
      squaresAfter += b * b;
    }
    const lengths = Math.max(Math.sqrt(squaresBefore), EPSILON) * Math.max(Math.sqrt(squaresAfter), EPSILON);
    const cosine = Math.fround(product / lengths);
    return Number.isNaN(cosine) ? Number.POSITIVE_INFINITY : 1 - cosine;
  });
}

/**
 * The `count` tokens that differ most, of equal ones those that come first: what a stable descending sort keeps.
 *
 * @param differences without NaN
 * @returns 1 for a token that is kept, else 0
 */
export function mostDifferent(differences: Float32Array, count: number): Uint8Array {
  const least = Float32Array.from(differences).sort()[differences.length - count] as number;
  const kept = Uint8Array.from(differences, (difference) => (difference > least ? 1 : 0));
  let left = count - kept.reduce((sum, flag) => sum + flag, 0);
  for (let token = 0; left > 0; token++) {
    if (differences[token] !== least) continue;
    kept[token] = 1;
    left--;
  }
  return kept;
}
