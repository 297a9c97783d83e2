/** What `glimt bench` found, as a page: the drawing, and the tables of the text. */
import { escaped } from "../../views/markup.ts";
import { htmlPage, type ReportSection, tableHtml } from "../../views/page.ts";
import { benchPlot } from "./plot.ts";
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

export function benchPage(report: BenchReport): string {
  const { ceilings } = report;
  const [lead, ...about] = headLines(report);
  const noise = ceilings && noiseLine(ceilings);
  const profiles = profileTables(report);
  const sections: ReportSection[] = [
    { body: about.map(paragraph).join("\n") },
    { body: `<div class="scroll">${benchPlot(report)}</div>` },
    { title: "Speed", body: tables(speedTables(report)) },
    {
      title: "Ceilings",
      body: ceilings
        ? `${tables([ceilingTable(ceilings)])}${noise ? paragraph(noise) : ""}`
        : paragraph("None are known for this backend."),
    },
    ...(profiles.length > 0 ? [{ title: "Where the time goes", body: profiles.map(pair).join("\n") }] : []),
    { body: paragraph(memoryLine(report)) },
  ];
  return htmlPage({ title: "glimt bench", lead, sections });
}

function paragraph(text: string): string {
  return `<p class="note">${escaped(text)}</p>`;
}

/** Side by side where there is room. */
function pair(both: readonly BenchTable[]): string {
  return `<div class="pair">${tables(both)}</div>`;
}

function tables(all: readonly BenchTable[]): string {
  return all.map(tableOf).join("\n");
}

function tableOf({ title, columns, rows }: BenchTable): string {
  return tableHtml({
    columns: [{ text: title }, ...columns.map((text) => ({ text, kind: "number" as const }))],
    rows: rows.map(({ name, cells }) => ({
      name,
      cells:
        "failure" in cells
          ? [{ text: cells.failure, kind: "none" as const, span: columns.length }]
          : cells.map((text) => ({ text, kind: "number" as const })),
    })),
  });
}
