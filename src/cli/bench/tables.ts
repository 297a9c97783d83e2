/** What `glimt bench` found, as tables: those that the text and the page have. */
import { formatBytes } from "../../compiler/print.ts";
import {
  allLines,
  type BenchReport,
  groupLines,
  type Line,
  type PassLine,
  type ProfileLine,
} from "./report.ts";

export interface BenchTable {
  readonly title: string;
  readonly columns: readonly string[];
  readonly rows: readonly BenchRow[];
}

export interface BenchRow {
  readonly name: string;
  /** One a column; or, of what was not measured, why. */
  readonly cells: readonly string[] | { readonly failure: string };
}

const CEILING_NAMES = {
  multiplyAdd: ["multiply-add", "GFLOP/s"],
  q4Product: ["q4 products", "Gop/s"],
  q8Product: ["q8 products", "Gop/s"],
  read: ["reading memory", "GB/s"],
} as const;
const SPEED_COLUMNS = ["ms", "tokens/s", "Gop/s", "GB/s", "held", "of ceiling"];
const PROFILE_COLUMNS = ["ms", "of all", "Gop/s", "GB/s", "of ceiling"];

/** Of the whole time of a pass: what takes less has no line of its own. */
const SMALL = 0.005;

/** What was measured, on what. */
export function headLines({ model, host, backend, load }: BenchReport): string[] {
  const { cpu, processors, load: wanting, node, system } = host;
  return [
    `${model.location}: ${model.architecture}, weights ${model.dtype}, ${formatBytes(model.weightBytes)}`,
    `${backend.name}: ${[backend.description, ...backend.limits].join(". ")}; activations ${backend.activations}`,
    `Node ${node}, ${system}, ${processors} x ${cpu}, load ${wanting.toFixed(1)}`,
    `loaded in ${(load.milliseconds / 1000).toFixed(2)} s, ${formatBytes(load.liveBytes)} held`,
  ];
}

export function memoryLine({ memory: { liveBytes, peakBytes } }: BenchReport): string {
  return `memory: ${formatBytes(liveBytes)} held at the end, ${formatBytes(peakBytes)} the process's peak`;
}

export function ceilingTable({ before, after }: NonNullable<BenchReport["ceilings"]>): BenchTable {
  const rows = Object.entries(CEILING_NAMES).flatMap(([key, [name, unit]]) => {
    const [one, two] = [before[key as keyof typeof before], after[key as keyof typeof after]];
    return one === undefined || two === undefined
      ? []
      : [{ name, cells: [(one / 1e9).toFixed(1), (two / 1e9).toFixed(1), unit] }];
  });
  return { title: "ceilings", columns: ["before", "after", ""], rows };
}

/** Why speeds are to be doubted; null when they are not. */
export function noiseLine({ difference, isNoisy }: NonNullable<BenchReport["ceilings"]>): string | null {
  if (!isNoisy) return null;
  return `The machine was noisy: the ceilings differ by ${percent(difference)}, so speeds may be low by as much.`;
}

/** One for each kind of pass that was measured. */
export function speedTables({ vision, prefill, decode }: BenchReport): BenchTable[] {
  const tables: readonly [string, readonly BenchRow[]][] = [
    [
      "vision",
      vision.map((line) =>
        speedRow(`${line.width} x ${line.height}, ${patches(line.gridThw)} patches`, line),
      ),
    ],
    ["prefill", prefill.map((line) => speedRow(`${line.tokens} tokens`, line))],
    ["decode, a step", decode.map((line) => speedRow(`context ${line.context}, batch ${line.batch}`, line))],
  ];
  return tables.flatMap(([title, rows]) =>
    rows.length === 0 ? [] : [{ title, columns: SPEED_COLUMNS, rows }],
  );
}

const patches = (grid: readonly number[]) => grid.reduce((product, side) => product * side, 1);

function speedRow(name: string, line: Line): BenchRow {
  if ("error" in line) {
    return { name, cells: { failure: `not measured: ${line.error.message} [${line.error.code}]` } };
  }
  const { milliseconds, tokensPerSecond, operations, bytes, ceiling, liveBytes } = line;
  const perSecond = (amount: number) => (amount / milliseconds.median / 1e6).toFixed(1);
  const cells = [
    ms(milliseconds.median),
    tokensPerSecond.toFixed(1),
    perSecond(operations),
    perSecond(bytes),
    formatBytes(liveBytes),
    ceiling ? `${percent(ceiling.share)}, ${ceiling.limit}` : "",
  ];
  return { name, cells };
}

/** Of each pass with a profile two, by op and by part. */
export function profileTables(report: BenchReport): BenchTable[][] {
  return allLines(report).flatMap(([title, line]) =>
    "error" in line || !line.profile ? [] : [tablesOf(title, line.profile)],
  );
}

function tablesOf(title: string, { lines, outsideMilliseconds }: NonNullable<PassLine["profile"]>) {
  const total = lines.reduce((sum, { milliseconds }) => sum + milliseconds, outsideMilliseconds);
  const outside = {
    name: "outside of instructions",
    cells: [ms(outsideMilliseconds), percent(outsideMilliseconds / total), "", "", ""],
  };
  return (["op", "scope"] as const).map((by): BenchTable => {
    const rows = foldSmall(groupLines(lines, by), by, total).map(([name, line]) =>
      profileRow(name, line, total),
    );
    return {
      title: `${title}, by ${by === "op" ? "op" : "part"}`,
      columns: PROFILE_COLUMNS,
      rows: [...rows, outside],
    };
  });
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
      .map((line): [string, ProfileLine] => [`${line.count} x ${line[by]}`, line]),
    ...(others
      ? [[`${others.count} others`, { ...others, leastMilliseconds: null }] as [string, ProfileLine]]
      : []),
  ];
}

function profileRow(name: string, line: ProfileLine, total: number): BenchRow {
  const { milliseconds, operations, bytes, leastMilliseconds } = line;
  const perSecond = (amount: number) => (amount > 0 ? (amount / milliseconds / 1e6).toFixed(1) : "");
  const cells = [
    ms(milliseconds),
    percent(milliseconds / total),
    perSecond(operations),
    perSecond(bytes),
    leastMilliseconds ? percent(leastMilliseconds / milliseconds) : "",
  ];
  return { name, cells };
}

function ms(milliseconds: number): string {
  return milliseconds.toFixed(milliseconds < 10 ? 3 : 1);
}

function percent(share: number): string {
  return `${(100 * share).toFixed(0)} %`;
}
