/** Conformance results for people: a matrix op x backend as text, and the same as an HTML page for a bug report. */
import { OP_NAMES, OPS, type OpName } from "../graph/ops.ts";
import type { ConformanceResult } from "./conformance.ts";

export interface ReportColumn {
  /** Backend and activation type, e.g. "wasm f32". */
  readonly title: string;
  readonly results: readonly ConformanceResult[];
}

export interface ReportCell {
  readonly cases: number;
  readonly skipped: number;
  readonly failures: readonly ConformanceResult[];
  /** Largest differences over the cases that ran. */
  readonly maxAbs: number;
  readonly maxRel: number;
}

/** The worst of all cases of an op. */
export function reportCell(results: readonly ConformanceResult[], op: OpName): ReportCell {
  const own = results.filter((result) => result.op === op);
  const ran = own.filter(({ skippedReason }) => skippedReason === undefined);
  const worst = (values: readonly number[]) =>
    values.filter(Number.isFinite).reduce((a, b) => Math.max(a, b), 0);
  return {
    cases: ran.length,
    skipped: own.length - ran.length,
    failures: ran.filter(({ ok }) => !ok),
    maxAbs: worst(ran.map(({ maxAbs }) => maxAbs)),
    maxRel: worst(ran.map(({ maxRel }) => maxRel)),
  };
}

export function cellText(cell: ReportCell): string {
  if (cell.cases === 0) return cell.skipped > 0 ? "not supported" : "no cases";
  const verdict = cell.failures.length === 0 ? "ok" : `${cell.failures.length} of ${cell.cases} FAILED`;
  return `${verdict}, rel ${cell.maxRel.toExponential(1)}`;
}

/** One line an op, one column a backend, then the first failures of each op in full. */
export function textReport(columns: readonly ReportColumn[]): string {
  const rows = OP_NAMES.map((op) => [op, ...columns.map(({ results }) => cellText(reportCell(results, op)))]);
  const table = [["op", ...columns.map(({ title }) => title)], ...rows];
  const widths = (table[0] as string[]).map((_, column) =>
    Math.max(...table.map((row) => (row[column] as string).length)),
  );
  const lines = table.map((row) =>
    row
      .map((text, column) => text.padEnd(widths[column] as number))
      .join("  ")
      .trimEnd(),
  );
  return [...lines, ...failureLines(columns)].join("\n");
}

function failureLines(columns: readonly ReportColumn[]): string[] {
  const failures = columns.flatMap(({ results }) => results.filter(({ ok }) => !ok));
  return failures.map(
    ({ backend, activation, caseName, failure }) =>
      `FAILED ${backend} ${activation}: ${caseName}: ${failure}`,
  );
}

/** A page that needs nothing else: facts about the machine, the matrix, every failure. */
export function htmlReport(
  columns: readonly ReportColumn[],
  facts: Readonly<Record<string, string>>,
): string {
  const head = columns.map(({ title }) => `<th>${escapeHtml(title)}</th>`).join("");
  const rows = OP_NAMES.map((op) => {
    const cells = columns.map(({ results }) => htmlCell(reportCell(results, op))).join("");
    return `<tr><th title="${escapeHtml(OPS[op].doc)}">${op}</th>${cells}</tr>`;
  });
  const failures = failureLines(columns).map((line) => `<li>${escapeHtml(line)}</li>`);
  const about = Object.entries(facts).map(
    ([name, value]) => `<dt>${escapeHtml(name)}</dt><dd>${escapeHtml(value)}</dd>`,
  );
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>glimt conformance</title>
<style>
  body { font: 14px/1.5 system-ui, sans-serif; margin: 2rem; }
  table { border-collapse: collapse; } th, td { border: 1px solid #ccc; padding: 0.3rem 0.6rem; text-align: left; }
  .ok { background: #e6f4e6; } .failed { background: #f9dcdc; } .none { color: #777; }
  dt { float: left; clear: left; width: 8rem; font-weight: 600; } dd { margin-left: 8rem; }
</style>
<h1>glimt conformance</h1>
<dl>${about.join("")}</dl>
<p>Every op against the reference backend (float64 sums): verdict, largest relative and absolute difference, cases.</p>
<table><thead><tr><th>op</th>${head}</tr></thead><tbody>
${rows.join("\n")}
</tbody></table>
${failures.length > 0 ? `<h2>Failures</h2><ol>${failures.join("\n")}</ol>` : ""}
</html>
`;
}

function htmlCell(cell: ReportCell): string {
  const kind = cell.cases === 0 ? "none" : cell.failures.length === 0 ? "ok" : "failed";
  const details = cell.cases > 0 ? `<br>abs ${cell.maxAbs.toExponential(1)}, ${cell.cases} cases` : "";
  return `<td class="${kind}">${escapeHtml(cellText(cell))}${details}</td>`;
}

function escapeHtml(text: string): string {
  const entities: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
  return text.replace(/[&<>"]/g, (character) => entities[character] as string);
}
