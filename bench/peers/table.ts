/** The report as text. */
import type { Host } from "./host.ts";
import { type Outcome, outcomeMs, outcomeReading, outcomeSpread, type Results } from "./results.ts";
import { type Judgement, shareOfPeak } from "./targets.ts";

export function hostLines(host: Host): string[] {
  const { processor, processors, memoryGB, load, node, features } = host;
  return [
    `${processors} x ${processor}, ${memoryGB.toFixed(0)} GB, class ${host.class}, Node ${node}`,
    `features: ${features.join(" ") || "unknown"}`,
    `load over the last minute: ${load.toFixed(2)}${load > 0.5 ? ": NOISY, something else is running" : ""}`,
  ];
}

/** The cases of a bout on so many threads: the first contestant's speed over each other's. */
export function legLines(results: Results, bout: string, threads: number): string[] {
  const outcomes = results.outcomes.filter((found) => found.bout === bout && found.threads === threads);
  const names = [...new Set(outcomes.map((outcome) => outcome.case))];
  return names.flatMap((name) =>
    caseLines(
      results,
      outcomes.filter((outcome) => outcome.case === name),
    ),
  );
}

function caseLines(results: Results, outcomes: readonly Outcome[]): string[] {
  const [first] = outcomes;
  if (!first) return [];
  const { case: name, threads, contestant } = first;
  const firstMs = outcomeMs(first);
  const title = `${name}, ${threads} thread${threads > 1 ? "s" : ""}`;
  const heading = [title, "ms", "spread", "turns", `${contestant.split(" ")[0]} is`, "of limit"];
  return [
    "",
    cells(heading),
    ...outcomes.map((outcome) => {
      const ms = outcomeMs(outcome);
      if (ms === undefined) return `  ${outcome.contestant.padEnd(32)} ${outcome.failure ?? "not measured"}`;
      return cells([
        `  ${outcome.contestant}`,
        ms.toFixed(ms < 100 ? 2 : 0),
        `${(100 * outcomeSpread(outcome)).toFixed(0)} %`,
        String(outcome.turns.length),
        firstMs === undefined || outcome === first ? "" : `${(ms / firstMs).toFixed(2)} x`,
        limit(results, outcome),
      ]);
    }),
  ];
}

function limit(results: Results, outcome: Outcome): string {
  const { case: name, contestant, threads } = outcome;
  const reading = outcomeReading(outcome);
  if (reading !== undefined) return `${(100 * reading).toFixed(0)} % read`;
  const [format] = /q[48]/.exec(contestant) ?? [];
  const loop = format ? `${format}Product` : "multiplyAdd";
  const peak = shareOfPeak(results, name, contestant, threads, loop);
  return peak === undefined ? "" : `${(100 * peak).toFixed(0)} % ${format ?? "peak"}`;
}

export function ceilingLines(results: Results): string[] {
  const threads = [...new Set(results.legs.map((leg) => leg.threads))].sort();
  const loops = [...new Set(results.legs.flatMap(({ before }) => Object.keys(before)))];
  const best = threads.map((count) => {
    const seen = loops.map((loop) => `${loop} ${((results.ceiling(loop, count) ?? 0) / 1e9).toFixed(1)}`);
    return `${count} thread${count > 1 ? "s" : ""}: ${seen.join(", ")}`;
  });
  const noisy = results.noisyLegs().map(({ leg, loop, moved }) => {
    const where = `${leg.bout}, ${leg.threads} thread${leg.threads > 1 ? "s" : ""}`;
    return `NOISY: ${loop} moved by ${(100 * moved).toFixed(0)} % around "${where}"`;
  });
  return ["", `ceilings, 10^9 operations or bytes a second: ${best.join("; ")}`, ...noisy];
}

export function judgementLines(judgements: readonly Judgement[]): string[] {
  const widths = [40, 50, 9, 18];
  const row = (parts: readonly string[]) =>
    parts.map((part, index) => part.padEnd(widths[index] ?? 0)).join("");
  const count = (verdict: Judgement["verdict"]) => judgements.filter((one) => one.verdict === verdict).length;
  return [
    "",
    row(["to be reached", "", "hosts", "found"]),
    ...judgements.map(({ title, expected, host, found, verdict }) =>
      row([title, expected, host, found, verdict]).trimEnd(),
    ),
    "",
    `${count("pass")} pass, ${count("FAIL")} fail, ${count("limit")} at the host's limit, ${count("not measured")} not measured, ${count("other host")} for other hosts`,
  ];
}

function cells(parts: readonly string[]): string {
  return parts.map((part, index) => (index === 0 ? part.padEnd(34) : part.padStart(11))).join("");
}
