/** How the tokens of a step are shared by those that take part in it. Pure. */

export interface StepShare<T> {
  readonly candidate: T;
  readonly tokens: number;
}

interface Reader {
  /** At least 1. */
  readonly tokensToRead: number;
}

/**
 * Each takes one token, so that answers go on while prompts are read. Half of what is left goes to the first ones in
 * their order, and what is left then to those with the fewest tokens to read. So the first prompt is read at half of the
 * speed at least whatever comes behind it, and a short one need not wait for the long ones before it.
 *
 * @param inOrder at most `maxTokens` of them
 * @param maxTokens of all together
 * @param maxEach of one
 */
export function shareTokens<T extends Reader>(
  inOrder: readonly T[],
  maxTokens: number,
  maxEach: number,
): StepShare<T>[] {
  const tokens = new Map(inOrder.map((candidate) => [candidate, 1]));
  let left = maxTokens - inOrder.length;
  const give = (readers: readonly T[], amount: number) => {
    let rest = amount;
    for (const reader of readers) {
      const has = tokens.get(reader) as number;
      const more = Math.min(Math.min(reader.tokensToRead, maxEach) - has, rest);
      tokens.set(reader, has + more);
      rest -= more;
    }
    left -= amount - rest;
  };
  const readers = inOrder.filter(({ tokensToRead }) => tokensToRead > 1);
  give(readers, Math.ceil(left / 2));
  give(
    readers.toSorted((a, b) => a.tokensToRead - b.tokensToRead),
    left,
  );
  return inOrder.map((candidate) => ({ candidate, tokens: tokens.get(candidate) as number }));
}
