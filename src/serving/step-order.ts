/** In which order requests are taken into steps, and who gives way when memory is short. Pure. */

/** What a plan knows of a request. */
export interface StepCandidate {
  /** Lower comes first. */
  readonly priority: number;
  /** Of the request, ascending; no two have the same. */
  readonly arrival: number;
  /** The step that it last took part in; before its first one, the step that was next when it came. */
  readonly lastTurn: number;
  /** The step that was next when it first asked for the token that it waits for. */
  readonly askedAt: number;
  /** Tokens that are known and not in the cache: of the prompt or the answer, and drafts. At least 1. */
  readonly tokensToRead: number;
  /** Features that are not encoded yet. While there are any it takes part in no step. */
  readonly featuresToEncode: number;
  /** Only requests with the same programs run together. */
  readonly programs: unknown;
  /** Whether it still has all it needs to read itself again. */
  readonly canBePreempted: boolean;
}

/** A request that waits for a token through so many steps comes first, whatever its priority. */
export const PATIENCE = 256;

/**
 * The one request that has waited too long, if any. There is one at a time, so that those who waited long do not take
 * memory from each other; with its token it goes back to its place, and the next one has its turn.
 */
export function urgentOf<T extends StepCandidate>(asking: readonly T[], step: number): T | null {
  const late = asking.filter(({ askedAt }) => step - askedAt >= PATIENCE);
  return late.toSorted((a, b) => a.askedAt - b.askedAt || a.arrival - b.arrival)[0] ?? null;
}

/** The urgent one, then by priority, and under one priority whoever has waited longest for a turn. */
export function inOrder<T extends StepCandidate>(asking: readonly T[], urgent: T | null): T[] {
  const isLater = (candidate: T) => Number(candidate !== urgent);
  return asking.toSorted(
    (a, b) =>
      isLater(a) - isLater(b) || a.priority - b.priority || a.lastTurn - b.lastTurn || a.arrival - b.arrival,
  );
}

/** Who gives its pages back: the lowest priority, of that the latest arrival; the urgent one only where it is alone. */
export function victimOf<T extends StepCandidate>(holders: Iterable<T>, urgent: T | null): T | null {
  const able = [...holders].filter(({ canBePreempted }) => canBePreempted);
  const others = able.filter((candidate) => candidate !== urgent);
  const from = others.length > 0 ? others : able;
  return from.toSorted((a, b) => b.priority - a.priority || b.arrival - a.arrival)[0] ?? null;
}
