/** What `glimt bench` found, as tables of text. */
import type { BenchReport } from "./report.ts";
import {
  type BenchTable,
  ceilingTable,
  headLines,
  memoryLine,
  noiseLine,
  profileTables,
  speedTables,
} from "./tables.ts";

export function benchText(report: BenchReport): string {
  return [
    ...headLines(report),
    "",
    ...ceilings(report),
    ...speedTables(report).flatMap((table) => ["", ...tableLines(table)]),
    ...profileTables(report).flatMap((tables) => ["", ...tables.flatMap((table) => tableLines(table))]),
    "",
    memoryLine(report),
  ].join("\n");
}

function ceilings({ ceilings }: BenchReport): string[] {
  if (!ceilings)
    return ["No ceilings: this backend has no loops for them, or there was no memory for these."];
  const noise = noiseLine(ceilings);
  return [...tableLines(ceilingTable(ceilings), ""), ...(noise === null ? [] : [noise])];
}

function tableLines({ title, columns, rows }: BenchTable, indent = "  "): string[] {
  return [
    line(title, columns),
    ...rows.map(({ name, cells }) =>
      "failure" in cells ? `${indent}${name}: ${cells.failure}` : line(`${indent}${name}`, cells),
    ),
  ];
}

function line(name: string, cells: readonly string[]): string {
  return (name.padEnd(36) + cells.map((cell) => ` ${cell.padStart(10)}`).join("")).trimEnd();
}
