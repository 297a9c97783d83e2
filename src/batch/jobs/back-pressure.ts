/** How many pages a worker takes: as many as its model has room for, so that others have the rest. */
import type { ModelStatistics } from "../../serving/statistics.ts";

/** Milliseconds from a look to the next. */
export const LOOK_MS = 250;

/**
 * A page more at each look, while none waits in the model: what waits for memory there would be answered sooner by another
 * worker.
 */
export function nextConcurrency(
  { running, waiting, maxSequences }: Pick<ModelStatistics, "running" | "waiting" | "maxSequences">,
  now: number,
): number {
  if (waiting > 0) return Math.max(1, Math.min(now, running));
  return Math.min(maxSequences, now + 1);
}
