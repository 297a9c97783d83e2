/** Timing of runs that may take milliseconds or minutes. */
import type { Engine } from "../backends/backend.ts";
import { throwIfAborted } from "../errors.ts";

export type Clock = () => number;

export interface Timing {
  /** Milliseconds of the median run and of the fastest, seen from the caller. */
  readonly median: number;
  readonly best: number;
  /** Median milliseconds the device was busy, where it says so. */
  readonly device: number | null;
  readonly runs: number;
}

export interface TimingOptions {
  readonly engine: Engine;
  /** Stop after so many milliseconds, but not before one run. */
  readonly budgetMs: number;
  readonly maxRuns: number;
  /** Milliseconds; default: those that pass. */
  readonly clock?: Clock | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * The first two runs, which plan, allocate and capture, are not counted unless the budget is spent by then.
 *
 * @throws what a run throws, ABORTED
 */
export async function timeRuns(run: () => Promise<unknown>, options: TimingOptions): Promise<Timing> {
  const { engine, budgetMs, maxRuns, clock = () => performance.now(), signal } = options;
  const end = performance.now() + budgetMs;
  const total: number[] = [];
  const device: number[] = [];
  for (let index = 0; total.length < maxRuns && (total.length === 0 || performance.now() < end); index++) {
    throwIfAborted(signal);
    const start = clock();
    await run();
    const milliseconds = clock() - start;
    if (index < 2 && performance.now() < end) continue;
    total.push(milliseconds);
    const busy = engineStatistics(engine)?.lastRunMilliseconds;
    if (busy) device.push(busy);
  }
  return {
    median: median(total),
    best: Math.min(...total),
    device: device.length === 0 ? null : median(device),
    runs: total.length,
  };
}

export interface EngineStatistics {
  readonly graphCaptures: number;
  readonly graphReplays: number;
  readonly eagerRuns: number;
  readonly lastRunMilliseconds: number;
}

/** Null for engines that keep none. */
export function engineStatistics(engine: Engine): EngineStatistics | null {
  return (engine as Engine & { readonly statistics?: EngineStatistics }).statistics ?? null;
}

/** @param values at least one */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] as number;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] as number) + upper) / 2;
}
