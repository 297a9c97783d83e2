/** Runs that are under way at the same time. */
import { isOutOfMemory } from "./out-of-memory.ts";

/**
 * What each gives, when all have ended: nothing of theirs goes on behind an error.
 * @throws the first error that is not want of memory, or else the first
 */
export async function settled<T>(runs: readonly Promise<T>[]): Promise<T[]> {
  const ends = await Promise.allSettled(runs);
  const errors = ends.flatMap((end) => (end.status === "rejected" ? [end.reason as unknown] : []));
  if (errors.length > 0) throw errors.find((error) => !isOutOfMemory(error)) ?? errors[0];
  return ends.map((end) => (end as PromiseFulfilledResult<T>).value);
}

/** Of each run what tells the progress of all together; undefined where nobody wants to know. */
export function shareOfAll(
  count: number,
  onProgress: ((share: number) => void) | undefined,
): (run: number) => ((share: number) => void) | undefined {
  const shares = new Array<number>(count).fill(0);
  return (run) =>
    onProgress &&
    ((share) => {
      shares[run] = share;
      onProgress(shares.reduce((sum, each) => sum + each, 0) / count);
    });
}
