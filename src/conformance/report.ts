/** Conformance results for people: a matrix op x backend as text, and the same as an HTML page for a bug report. */
import { LOCAL_OPS, OPS, type OpName } from "../graph/ops.ts";
import { escaped } from "../views/markup.ts";
import { factsHtml, htmlPage, tableHtml } from "../views/page.ts";
import type { ConformanceResult } from "./conformance.ts";
import type { ModelResult } from "./models.ts";

export interface ReportColumn {
  /** Backend and activation type, e.g. "wasm f32". */
  readonly title: string;
  readonly results: readonly ConformanceResult[];
  readonly models: readonly ModelResult[];
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
  const skipped = cell.skipped > 0 ? `, ${cell.skipped} not supported` : "";
  return `${verdict}, rel ${cell.maxRel.toExponential(1)}${skipped}`;
}

/** One line an op and a model, one column a backend, then every failure in full. */
export function textReport(columns: readonly ReportColumn[]): string {
  const table = [
    ["", ...columns.map(({ title }) => title)],
    ...reportRows(columns).map(({ name, cells }) => [name, ...cells.map(({ text }) => text)]),
  ];
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

interface ReportRow {
  readonly name: string;
  readonly doc: string;
  readonly cells: readonly {
    readonly text: string;
    readonly kind: "ok" | "failed" | "none";
    readonly details: string;
  }[];
}

function reportRows(columns: readonly ReportColumn[]): ReportRow[] {
  const judged = new Set(columns.flatMap(({ results }) => results.map(({ op }) => op)));
  const ops = LOCAL_OPS.filter((op) => judged.has(op)).map((op): ReportRow => {
    const cells = columns.map(({ results }) => {
      const cell = reportCell(results, op);
      const kind = cell.cases === 0 ? "none" : cell.failures.length === 0 ? "ok" : "failed";
      return {
        text: cellText(cell),
        kind,
        details: `abs ${cell.maxAbs.toExponential(1)}, ${cell.cases} cases`,
      } as const;
    });
    return { name: op, doc: OPS[op].doc, cells };
  });
  const models = [...new Set(columns.flatMap(({ models }) => models.map(({ model }) => model)))].map(
    (model): ReportRow => {
      const cells = columns.map((column) =>
        modelCell(column.models.find((result) => result.model === model)),
      );
      return { name: `model ${model}`, doc: "vision tower and decoder with seeded weights", cells };
    },
  );
  return [...ops, ...models];
}

function modelCell(result: ModelResult | undefined): ReportRow["cells"][number] {
  if (!result) return { text: "not run", kind: "none", details: "" };
  const { ok, maxRel, maxAbs, greedyAgreement, steps } = result;
  const greedy = `${greedyAgreement}/${steps} greedy`;
  return {
    text: `${ok ? "ok" : "FAILED"}, rel ${maxRel.toExponential(1)}, ${greedy}`,
    kind: ok ? "ok" : "failed",
    details: `abs ${maxAbs.toExponential(1)}`,
  };
}

function failureLines(columns: readonly ReportColumn[]): string[] {
  return columns.flatMap(({ title, results, models }) => [
    ...results
      .filter(({ ok }) => !ok)
      .map(({ caseName, failure }) => `FAILED ${title}: ${caseName}: ${failure}`),
    ...models
      .filter(({ ok }) => !ok)
      .map(({ model, failure }) => `FAILED ${title}: model ${model}: ${failure}`),
  ]);
}

/** A page that needs nothing else: facts about the machine, the matrix, every failure. */
export function htmlReport(
  columns: readonly ReportColumn[],
  facts: Readonly<Record<string, string>>,
): string {
  const failures = failureLines(columns).map((line) => `<li>${escaped(line)}</li>`);
  const rows = reportRows(columns).map(({ name, doc, cells }) => ({
    name,
    about: doc,
    cells: cells.map(({ text, kind, details }) => ({ text, kind, note: details })),
  }));
  return htmlPage({
    title: "glimt conformance",
    lead: "Every op and whole models against the reference backend (float64 sums): verdict, largest differences.",
    sections: [
      { body: factsHtml(Object.entries(facts)) },
      // What failed is what one looks for.
      ...(failures.length > 0 ? [{ title: "Failures", body: `<ol>${failures.join("\n")}</ol>` }] : []),
      {
        title: "Ops and models",
        body: tableHtml({ columns: [{ text: "" }, ...columns.map(({ title }) => ({ text: title }))], rows }),
      },
    ],
  });
}
