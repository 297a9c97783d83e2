/** What the machine can do at best, measured now: the limits that speeds are given as shares of. */
import type { Backend, CeilingLoop, EngineOptions } from "../backends/backend.ts";
import { GlimtError, throwIfAborted } from "../errors.ts";
import { nextTask } from "../event-loop.ts";
import type { Work } from "./work.ts";

/** Operations or bytes a second, by the loop's name; those that the backend has no loop for are missing. */
export type Ceilings = Readonly<Partial<Record<CeilingLoop["name"], number>>>;

/** Each loop runs for about so long. */
const LOOP_MS = 400;
const FEWEST_RUNS = 5;

/**
 * On an engine of its own, with the threads that the options say. Of each loop the fastest run counts, and of several
 * of a name the fastest.
 *
 * @returns null where the backend has no such loops, or no memory for them. @throws ABORTED
 */
export async function measureCeilings(
  backend: Backend,
  options: EngineOptions,
  signal?: AbortSignal,
): Promise<Ceilings | null> {
  const engine = await backend.open(options);
  try {
    const loops = engine.ceilingLoops?.() ?? [];
    const found: Partial<Record<CeilingLoop["name"], number>> = {};
    for (const { name, run } of loops) found[name] = Math.max(found[name] ?? 0, await fastest(run, signal));
    return loops.length === 0 ? null : found;
  } catch (error) {
    if (!(error instanceof GlimtError) || error.code !== "OUT_OF_MEMORY") throw error;
    return null;
  } finally {
    engine.dispose();
  }
}

/** What `run` says it did, a second. */
async function fastest(run: CeilingLoop["run"], signal: AbortSignal | undefined): Promise<number> {
  let best = 0;
  // The engine compiles hot functions again in the background, and memory is filled at first.
  await run();
  const end = performance.now() + LOOP_MS;
  for (let count = 0; count < FEWEST_RUNS || performance.now() < end; count++) {
    await nextTask();
    throwIfAborted(signal);
    const began = performance.now();
    const amount = await run();
    best = Math.max(best, (1000 * amount) / (performance.now() - began));
  }
  return best;
}

/** The better of two measurements of each: what the machine could do in between. */
export function bestOf(before: Ceilings, after: Ceilings): Ceilings {
  const names = Object.keys(before) as CeilingLoop["name"][];
  return Object.fromEntries(names.map((name) => [name, Math.max(before[name] ?? 0, after[name] ?? 0)]));
}

/** By how much the smaller of two measurements lies below the larger, at most over the loops; 0..1. */
export function difference(before: Ceilings, after: Ceilings): number {
  const names = Object.keys(before) as CeilingLoop["name"][];
  const drops = names.map((name) => {
    const [one, two] = [before[name] ?? 0, after[name] ?? 0];
    return 1 - Math.min(one, two) / Math.max(one, two);
  });
  return Math.max(0, ...drops);
}

export type Limit = "arithmetic" | "reading";

/** What work would take at the ceilings. */
export interface LeastTime {
  readonly milliseconds: number;
  /** Which ceiling says so. */
  readonly limit: Limit;
}

/** Null where a ceiling that the work needs is not known. */
export function leastTime(
  work: Work,
  { multiplyAdd, q4Product, q8Product, read }: Ceilings,
): LeastTime | null {
  const parts = [
    [work.floatOperations, multiplyAdd],
    [work.integerOperations, q4Product],
    [work.byteOperations, q8Product],
    [work.bytes, read],
  ] as const;
  if (parts.some(([amount, ceiling]) => amount > 0 && ceiling === undefined)) return null;
  const times = parts.map(([amount, ceiling = 1]) => (1000 * amount) / ceiling);
  const reading = times.pop() as number;
  const arithmetic = times.reduce((sum, time) => sum + time, 0);
  return arithmetic >= reading
    ? { milliseconds: arithmetic, limit: "arithmetic" }
    : { milliseconds: reading, limit: "reading" };
}
