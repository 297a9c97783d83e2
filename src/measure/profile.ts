/** Where the time of a pass goes, by instruction of its program. */
import { throwIfAborted } from "../errors.ts";
import { median } from "./clock.ts";
import type { Pass } from "./passes.ts";
import { sumWork, type Work } from "./work.ts";

export interface ProfileRow {
  /** Where in the model, without numbers: "layers.attention", "head". */
  readonly scope: string;
  readonly op: string;
  /** Instructions of the program. */
  readonly count: number;
  /** Of all of them, in one pass: of each the median over the runs. */
  readonly milliseconds: number;
  readonly work: Work;
}

export interface Profile {
  /** By scope and op, the longest first. */
  readonly rows: readonly ProfileRow[];
  /** Of a pass, beside its instructions: inputs are made and copied, the event loop has its turns. */
  readonly outsideMilliseconds: number;
  readonly runs: number;
}

export interface ProfileOptions {
  /** Stop after so many milliseconds, but not before one run. */
  readonly budgetMs: number;
  readonly maxRuns: number;
  readonly signal?: AbortSignal | undefined;
}

/** For backends with `timesInstructions`. @throws what a run throws, ABORTED */
export async function profilePass(pass: Pass, options: ProfileOptions): Promise<Profile> {
  const { budgetMs, maxRuns, signal } = options;
  const { instructions } = pass.program;
  const taken: number[][] = instructions.map(() => []);
  const outside: number[] = [];
  const end = performance.now() + budgetMs;
  while (outside.length < maxRuns && (outside.length === 0 || performance.now() < end)) {
    throwIfAborted(signal);
    // A pass may run its program several times.
    const times = new Float64Array(instructions.length);
    const began = performance.now();
    await pass.run({
      signal,
      onInstruction: (index, milliseconds) => {
        times[index] = (times[index] as number) + milliseconds;
      },
    });
    const total = performance.now() - began;
    outside.push(total - times.reduce((sum, time) => sum + time, 0));
    for (const [index, time] of times.entries()) taken[index]?.push(time);
  }
  const rows = instructions.map(
    ({ scope, op }, index): ProfileRow => ({
      scope: scope.replace(/\.\d+(?=\.|$)/g, ""),
      op,
      count: 1,
      milliseconds: median(taken[index] as number[]),
      work: pass.work[index] as Work,
    }),
  );
  return {
    rows: groupRows(rows, ({ scope, op }) => `${scope} ${op}`),
    outsideMilliseconds: median(outside),
    runs: outside.length,
  };
}

/** Rows of one key made one, the longest first. */
function groupRows(rows: readonly ProfileRow[], keyOf: (row: ProfileRow) => string): ProfileRow[] {
  const groups = new Map<string, ProfileRow>();
  for (const row of rows) {
    const key = keyOf(row);
    const known = groups.get(key);
    groups.set(key, known ? joined(known, row) : row);
  }
  return [...groups.values()].sort((a, b) => b.milliseconds - a.milliseconds);
}

function joined(one: ProfileRow, two: ProfileRow): ProfileRow {
  return {
    scope: one.scope,
    op: one.op,
    count: one.count + two.count,
    milliseconds: one.milliseconds + two.milliseconds,
    work: sumWork([one.work, two.work]),
  };
}
