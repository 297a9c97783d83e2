/** What `glimt bench` found, as tables of text. */
import { formatBytes } from "../../compiler/print.ts";
import {
  allLines,
  type BenchReport,
  groupLines,
  type Line,
  type PassLine,
  type ProfileLine,
} from "./report.ts";

const CEILING_NAMES = {
  multiplyAdd: ["multiply-add", "GFLOP/s"],
  q4Product: ["q4 products", "Gop/s"],
  q8Product: ["q8 products", "Gop/s"],
  read: ["reading memory", "GB/s"],
} as const;

/** Of the whole time of a pass: what takes less has no line of its own. */
const SMALL = 0.005;

export function benchText(report: BenchReport): string {
  return [...head(report), ...speeds(report), ...profiles(report), ...foot(report)].join("\n");
}

function head({ model, host, backend, load, ceilings }: BenchReport): string[] {
  const { cpu, processors, load: wanting, node, system } = host;
  return [
    `${model.location}: ${model.architecture}, weights ${model.dtype}, ${formatBytes(model.weightBytes)}`,
    `${backend.name}: ${[backend.description, ...backend.limits].join(". ")}; activations ${backend.activations}`,
    `Node ${node}, ${system}, ${processors} x ${cpu}, load ${wanting.toFixed(1)}`,
    `loaded in ${(load.milliseconds / 1000).toFixed(2)} s, ${formatBytes(load.liveBytes)} held`,
    ...(ceilings ? ["", ...ceilingLines(ceilings)] : ["", "No ceilings are known for this backend."]),
  ];
}

function ceilingLines({
  before,
  after,
  difference,
  isNoisy,
}: NonNullable<BenchReport["ceilings"]>): string[] {
  const lines = Object.entries(CEILING_NAMES).flatMap(([name, [title, unit]]) => {
    const [one, two] = [before[name as keyof typeof before], after[name as keyof typeof after]];
    return one === undefined || two === undefined
      ? []
      : [row(title, [(one / 1e9).toFixed(1), (two / 1e9).toFixed(1), unit])];
  });
  const noise = isNoisy
    ? [
        `The machine was noisy: the ceilings differ by ${percent(difference)}, so speeds may be low by as much.`,
      ]
    : [];
  return [row("ceilings", ["before", "after"]), ...lines, ...noise];
}

function speeds(report: BenchReport): string[] {
  const { vision, prefill, decode } = report;
  const table = (title: string, lines: readonly [string, Line][]) =>
    lines.length === 0
      ? []
      : [
          "",
          row(title, ["ms", "tokens/s", "Gop/s", "GB/s", "held", "of ceiling"]),
          ...lines.map(([name, line]) => speedLine(name, line)),
        ];
  return [
    ...table(
      "vision",
      vision.map((line) => [`${line.width} x ${line.height}, ${patches(line.gridThw)} patches`, line]),
    ),
    ...table(
      "prefill",
      prefill.map((line) => [`${line.tokens} tokens`, line]),
    ),
    ...table(
      "decode, a step",
      decode.map((line) => [`context ${line.context}, batch ${line.batch}`, line]),
    ),
  ];
}

const patches = (grid: readonly number[]) => grid.reduce((product, side) => product * side, 1);

function speedLine(name: string, line: Line): string {
  if ("error" in line) return `  ${name}: not measured: ${line.error.message} [${line.error.code}]`;
  const { milliseconds, tokensPerSecond, operations, bytes, ceiling, liveBytes } = line;
  const perSecond = (amount: number) => (amount / milliseconds.median / 1e6).toFixed(1);
  return row(`  ${name}`, [
    ms(milliseconds.median),
    tokensPerSecond.toFixed(1),
    perSecond(operations),
    perSecond(bytes),
    formatBytes(liveBytes),
    ceiling ? `${percent(ceiling.share)}, ${ceiling.limit}` : "",
  ]);
}

function profiles(report: BenchReport): string[] {
  return allLines(report).flatMap(([title, line]) =>
    "error" in line || !line.profile ? [] : profileTable(title, line.profile),
  );
}

function profileTable(title: string, profile: NonNullable<PassLine["profile"]>): string[] {
  const { lines, outsideMilliseconds } = profile;
  const total = lines.reduce((sum, { milliseconds }) => sum + milliseconds, outsideMilliseconds);
  const table = (by: "op" | "scope") => [
    row(`${title}, by ${by === "op" ? "op" : "part"}`, ["ms", "of all", "Gop/s", "GB/s", "of ceiling"]),
    ...foldSmall(groupLines(lines, by), by, total).map(([name, line]) => profileRow(name, line, total)),
    row("  outside of instructions", [ms(outsideMilliseconds), percent(outsideMilliseconds / total)]),
  ];
  return ["", ...table("op"), ...table("scope")];
}

/** Lines that take next to nothing are one. */
function foldSmall(
  lines: readonly ProfileLine[],
  by: "op" | "scope",
  total: number,
): [name: string, line: ProfileLine][] {
  const isSmall = ({ milliseconds }: ProfileLine) => milliseconds < SMALL * total;
  const [others] = groupLines(
    lines.filter(isSmall).map((line) => ({ ...line, op: "others" })),
    "op",
  );
  return [
    ...lines
      .filter((line) => !isSmall(line))
      .map((line): [string, ProfileLine] => [`  ${line.count} x ${line[by]}`, line]),
    ...(others
      ? [[`  ${others.count} others`, { ...others, leastMilliseconds: null }] as [string, ProfileLine]]
      : []),
  ];
}

function profileRow(name: string, line: ProfileLine, total: number): string {
  const { milliseconds, operations, bytes, leastMilliseconds } = line;
  const perSecond = (amount: number) => (amount > 0 ? (amount / milliseconds / 1e6).toFixed(1) : "");
  return row(name, [
    ms(milliseconds),
    percent(milliseconds / total),
    perSecond(operations),
    perSecond(bytes),
    leastMilliseconds ? percent(leastMilliseconds / milliseconds) : "",
  ]);
}

function foot({ memory }: BenchReport): string[] {
  const { liveBytes, peakBytes } = memory;
  return [
    "",
    `memory: ${formatBytes(liveBytes)} held at the end, ${formatBytes(peakBytes)} the process's peak`,
  ];
}

function ms(milliseconds: number): string {
  return milliseconds.toFixed(milliseconds < 10 ? 3 : 1);
}

function percent(share: number): string {
  return `${(100 * share).toFixed(0)} %`;
}

function row(name: string, cells: readonly string[]): string {
  return (name.padEnd(36) + cells.map((cell) => ` ${cell.padStart(10)}`).join("")).trimEnd();
}
