/** What was measured: samples by case, contestant and threads, and the machine's ceilings around them. */
import type { Time } from "./child.mjs";

export interface Outcome {
  readonly bout: string;
  readonly case: string;
  readonly contestant: string;
  readonly threads: number;
  /** A list a turn. */
  readonly turns: readonly (readonly Time[])[];
  readonly operations?: number | undefined;
  readonly bytes?: number | undefined;
  /** Of each turn: how fast memory was read beside it, bytes a second; 0 where that was not measured. */
  readonly readings?: readonly number[] | undefined;
  /** Why there are no turns, or no more of them. */
  readonly failure?: string | undefined;
}

/** Operations or bytes a second, by loop. */
export type Ceilings = Readonly<Record<string, number>>;

export interface Leg {
  readonly bout: string;
  readonly threads: number;
  readonly before: Ceilings;
  readonly after: Ceilings;
}

/** Of the same leg, between before and after: on a quiet machine they are within a few percent. */
const QUIET = 0.08;

export class Results {
  readonly outcomes: Outcome[] = [];
  readonly legs: Leg[] = [];

  find(name: string, contestant: string, threads: number): Outcome | undefined {
    return this.outcomes.find(
      (outcome) => outcome.case === name && outcome.contestant === contestant && outcome.threads === threads,
    );
  }

  /** Median milliseconds of the turns. */
  ms(name: string, contestant: string, threads: number): number | undefined {
    const outcome = this.find(name, contestant, threads);
    return outcome && outcomeMs(outcome);
  }

  /** The best that was seen in any leg on so many threads. */
  ceiling(loop: string, threads: number): number | undefined {
    const seen = this.legs
      .filter((leg) => leg.threads === threads)
      .flatMap(({ before, after }) => [before[loop] ?? 0, after[loop] ?? 0]);
    return Math.max(0, ...seen) || undefined;
  }

  /** Legs around which a ceiling moved, and by what share. */
  noisyLegs(): { readonly leg: Leg; readonly loop: string; readonly moved: number }[] {
    return this.legs.flatMap((leg) =>
      Object.keys(leg.before)
        .map((loop) => {
          const [low = 0, high = 1] = [leg.before[loop] ?? 0, leg.after[loop] ?? 0].sort((a, b) => a - b);
          return { leg, loop, moved: 1 - low / high };
        })
        .filter(({ moved }) => moved > QUIET),
    );
  }
}

export function outcomeMs(outcome: Outcome): number | undefined {
  const values = turnsMs(outcome);
  return values.length === 0 ? undefined : median(values);
}

/**
 * Share of what the machine reads: the median over turns, each held against reading beside it. Where processors are lent out, how fast
 * memory is read moves by half within seconds.
 */
export function outcomeReading(outcome: Outcome): number | undefined {
  const { bytes, readings = [] } = outcome;
  if (bytes === undefined) return undefined;
  const shares = turnsMs(outcome).map((ms, turn) => (1000 * bytes) / ms / (readings[turn] ?? 0));
  const measured = shares.filter(Number.isFinite);
  return measured.length === 0 ? undefined : median(measured);
}

const turnsMs = ({ turns, threads }: Outcome) =>
  turns.map((times) => median(times.map((time) => milliseconds(time, threads))));

/** The largest over the smallest turn, less one. */
export function outcomeSpread(outcome: Outcome): number {
  const values = turnsMs(outcome);
  return values.length < 2 ? 0 : Math.max(...values) / Math.min(...values) - 1;
}

/** On one thread its own processor time, where it is told, leaves out what other work took; on several only the clock. */
function milliseconds({ ms, cpuMs }: Time, threads: number): number {
  return threads === 1 ? (cpuMs ?? ms) : ms;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}
