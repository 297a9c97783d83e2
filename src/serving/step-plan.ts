/** Which requests a step of the decoder takes, and how many tokens of each. Pure: nothing is run or changed. */

export interface StepCandidate {
  /** Tokens that are known and not in the cache: of the prompt, or the last one of the answer. At least 1. */
  readonly tokensToRead: number;
  /** Only requests with the same programs run together. */
  readonly programs: unknown;
}

export interface StepLimits {
  /** Most tokens of a step, of all requests together; at least 1. */
  readonly maxTokens: number;
  /** Most requests of a step; at least 1. */
  readonly maxSequences: number;
}

export interface StepShare<T> {
  readonly candidate: T;
  readonly tokens: number;
}

/**
 * The longest waiting are taken first, with those that run on the same programs. Each takes one token; what is left of the
 * step's tokens goes to them in their order, so answers go on while a long prompt is read.
 *
 * @param waiting the longest waiting first: who was taken is to come back behind all others, then everybody has a turn.
 */
export function planStep<T extends StepCandidate>(
  waiting: readonly T[],
  { maxTokens, maxSequences }: StepLimits,
): StepShare<T>[] {
  const taken = waiting
    .filter(({ programs }) => programs === waiting[0]?.programs)
    .slice(0, Math.min(maxSequences, maxTokens));
  let left = maxTokens - taken.length;
  return taken.map((candidate) => {
    const more = Math.min(candidate.tokensToRead - 1, left);
    left -= more;
    return { candidate, tokens: 1 + more };
  });
}
