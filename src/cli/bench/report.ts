/** What `glimt bench` found, as `--json` prints it. */
import type { EngineReport } from "../../backends/backend.ts";
import { bestOf, type Ceilings, difference, type LeastTime, leastTime } from "../../measure/ceilings.ts";
import type { PassFailure, PassSpeed } from "../../measure/measure-pass.ts";
import type { Profile } from "../../measure/profile.ts";
import { operationsOf, type Work } from "../../measure/work.ts";
import type { GridThw } from "../../processor/grid.ts";

/** A pass as it was measured. */
export interface Measured {
  /** Tokens that it gives or reads. */
  readonly items: number;
  readonly found: PassSpeed | PassFailure;
}

interface Findings {
  readonly model: {
    readonly location: string;
    readonly architecture: string;
    /** How most weights are stored, and their bytes as they were read. */
    readonly dtype: string;
    readonly weightBytes: number;
  };
  readonly host: {
    readonly cpu: string;
    readonly processors: number;
    /** Processes that wanted to run in the last minute. */
    readonly load: number;
    readonly node: string;
    readonly system: string;
  };
  readonly backend: { readonly name: string; readonly activations: string } & EngineReport;
  readonly load: { readonly milliseconds: number; readonly liveBytes: number };
  /** liveBytes: held by the device at the end. peakBytes: the most that the process had of the machine's memory. */
  readonly memory: { readonly liveBytes: number; readonly peakBytes: number };
}

export interface Share {
  /** 0..1 of the limit that the work meets first. */
  readonly share: number;
  readonly limit: LeastTime["limit"];
}

export interface ProfileLine {
  readonly scope: string;
  readonly op: string;
  readonly count: number;
  readonly milliseconds: number;
  readonly operations: number;
  readonly bytes: number;
  /** What it would take at the ceilings; null where that is not known, 0 for what has no work that is counted. */
  readonly leastMilliseconds: number | null;
}

export interface PassLine {
  readonly milliseconds: { readonly median: number; readonly best: number };
  readonly runs: number;
  readonly tokensPerSecond: number;
  readonly operations: number;
  readonly bytes: number;
  readonly ceiling: Share | null;
  readonly liveBytes: number;
  readonly profile: {
    readonly lines: readonly ProfileLine[];
    readonly outsideMilliseconds: number;
    readonly runs: number;
  } | null;
}

export type Line = PassLine | PassFailure;

export interface BenchReport extends Findings {
  readonly ceilings: {
    /** Operations and bytes a second. */
    readonly before: Ceilings;
    readonly after: Ceilings;
    /** The two differ by so much (0..1) that the speeds in between are to be doubted. */
    readonly difference: number;
    readonly isNoisy: boolean;
  } | null;
  readonly vision: readonly ({ width: number; height: number; gridThw: GridThw } & Line)[];
  readonly prefill: readonly ({ tokens: number } & Line)[];
  readonly decode: readonly ({ context: number; batch: number } & Line)[];
}

/** Differences of the ceilings from here on are said. */
const NOISE = 0.1;

export interface Measurements extends Findings {
  readonly ceilings: { readonly before: Ceilings; readonly after: Ceilings } | null;
  readonly vision: readonly ({ width: number; height: number; gridThw: GridThw } & Measured)[];
  readonly prefill: readonly ({ tokens: number } & Measured)[];
  readonly decode: readonly ({ context: number; batch: number } & Measured)[];
}

/** Shares are those of the better of the two measurements of each ceiling. */
export function benchReport({ ceilings, vision, prefill, decode, ...findings }: Measurements): BenchReport {
  const best = ceilings && bestOf(ceilings.before, ceilings.after);
  const lines = <Size extends object>(measured: readonly (Size & Measured)[]) =>
    measured.map(({ items, found, ...size }) => ({ ...size, ...lineOf({ items, found }, best) }));
  return {
    ...findings,
    ceilings: ceilings && {
      ...ceilings,
      difference: difference(ceilings.before, ceilings.after),
      isNoisy: difference(ceilings.before, ceilings.after) > NOISE,
    },
    vision: lines(vision),
    prefill: lines(prefill),
    decode: lines(decode),
  } as BenchReport;
}

/** A second. */
export function rateOf({ median }: Pick<PassSpeed, "median">, items: number): number {
  return (1000 * items) / median;
}

function lineOf({ items, found }: Measured, ceilings: Ceilings | null): Line {
  if ("error" in found) return found;
  const { median, best, runs, work, liveBytes, profile } = found;
  const least = ceilings && leastTime(work, ceilings);
  return {
    milliseconds: { median, best },
    runs,
    tokensPerSecond: rateOf(found, items),
    operations: operationsOf(work),
    bytes: work.bytes,
    ceiling: least && { share: least.milliseconds / median, limit: least.limit },
    liveBytes,
    profile: profile && profileOf(profile, ceilings),
  };
}

function profileOf({ rows, outsideMilliseconds, runs }: Profile, ceilings: Ceilings | null) {
  const least = (work: Work) => (ceilings && leastTime(work, ceilings)?.milliseconds) ?? null;
  const lines = rows.map(({ scope, op, count, milliseconds, work }) => ({
    scope,
    op,
    count,
    milliseconds,
    operations: operationsOf(work),
    bytes: work.bytes,
    leastMilliseconds: least(work),
  }));
  return { lines, outsideMilliseconds, runs };
}

/** Every pass with its title, in the order in which they were measured. */
export function allLines({ vision, prefill, decode }: BenchReport): [title: string, line: Line][] {
  return [
    ...vision.map((line): [string, Line] => [`vision ${line.width} x ${line.height}`, line]),
    ...prefill.map((line): [string, Line] => [`prefill ${line.tokens}`, line]),
    ...decode.map((line): [string, Line] => [`decode ${line.context}, batch ${line.batch}`, line]),
  ];
}

/** Lines of a profile made one by op or by scope, the longest first. */
export function groupLines(lines: readonly ProfileLine[], by: "op" | "scope"): ProfileLine[] {
  const groups = new Map<string, ProfileLine>();
  for (const line of lines) {
    const known = groups.get(line[by]);
    groups.set(line[by], known ? joined(known, line) : line);
  }
  return [...groups.values()].sort((a, b) => b.milliseconds - a.milliseconds);
}

function joined(one: ProfileLine, two: ProfileLine): ProfileLine {
  const [a, b] = [one.leastMilliseconds, two.leastMilliseconds];
  return {
    ...one,
    count: one.count + two.count,
    milliseconds: one.milliseconds + two.milliseconds,
    operations: one.operations + two.operations,
    bytes: one.bytes + two.bytes,
    leastMilliseconds: a === null || b === null ? null : a + b,
  };
}
