/** The page that all reports are: it needs no script and asks for nothing. */

import { escaped } from "./markup.ts";
import { colours, VIEW_STYLE } from "./style.ts";

export interface ReportPage {
  readonly title: string;
  /** A sentence below the title. */
  readonly lead?: string | undefined;
  readonly sections: readonly ReportSection[];
}

export interface ReportSection {
  /** None for what stands directly below the lead. */
  readonly title?: string | undefined;
  /** HTML. */
  readonly body: string;
}

const PAGE_STYLE = `
* { box-sizing: border-box; }
html { color-scheme: light dark; -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--glimt-paper); color: var(--glimt-ink); font: 15px/1.55 system-ui, sans-serif; }
main { max-width: 1040px; margin: 0 auto; padding: 40px 24px 72px; }
h1 { margin: 0; font-size: 26px; line-height: 1.25; letter-spacing: -0.01em; text-wrap: balance; overflow-wrap: anywhere; }
h2 { margin: 44px 0 12px; font-size: 18px; line-height: 1.3; } h3 { margin: 24px 0 8px; font-size: 15px; }
p { margin: 8px 0; max-width: 70ch; } a { color: var(--glimt-accent); }
.lead, .note { color: var(--glimt-soft); } .note { font-size: 13px; }
.scroll { overflow-x: auto; } table { margin: 12px 0 20px; border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }
th, td { padding: 5px 14px 5px 0; border-bottom: 1px solid var(--glimt-line); text-align: left; vertical-align: top; }
th { font-weight: 600; } thead th { color: var(--glimt-soft); white-space: nowrap; } td small { color: var(--glimt-soft); }
tbody th { white-space: nowrap; } .number { text-align: right; white-space: nowrap; }
.ok { color: var(--glimt-good); } .failed { color: var(--glimt-bad); font-weight: 600; } .none { color: var(--glimt-soft); }
dl.facts { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: 4px 20px; margin: 16px 0 0; font-size: 14px; }
.facts dt { color: var(--glimt-soft); } .facts dd { margin: 0; overflow-wrap: anywhere; }
.item { display: grid; grid-template-columns: minmax(0, 3fr) minmax(0, 2fr); gap: 24px; align-items: start; margin: 16px 0 36px; }
.item.wide { grid-template-columns: minmax(0, 1fr); gap: 12px; } .item dl.facts { margin: 0; } .item h3 { margin: 0 0 8px; }
.item .glimt-grid { width: auto; max-width: 100%; max-height: 90vh; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr)); gap: 0 32px; }
.pair th, .pair td { padding-right: 10px; }
details { margin: 16px 0; } summary { cursor: pointer; color: var(--glimt-accent); } details[open] summary { margin-bottom: 12px; }
:focus-visible { outline: 2px solid var(--glimt-accent); outline-offset: 2px; }
@media (max-width: 640px) {
  main { padding: 24px 16px 48px; } .item { grid-template-columns: minmax(0, 1fr); gap: 12px; }
  dl.facts { grid-template-columns: minmax(0, 1fr); gap: 0; } .facts dd { margin-bottom: 8px; }
}
@media print { main { max-width: none; padding: 0; } }
`;

export function htmlPage({ title, lead, sections }: ReportPage): string {
  const parts = sections.map(({ title, body }) =>
    title === undefined ? body : `<section>\n<h2>${escaped(title)}</h2>\n${body}\n</section>`,
  );
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(title)}</title>
<style>
${colours(":root")}
${PAGE_STYLE}${VIEW_STYLE}</style>
</head>
<body>
<main>
<h1>${escaped(title)}</h1>
${lead === undefined ? "" : `<p class="lead">${escaped(lead)}</p>\n`}${parts.join("\n")}
</main>
</body>
</html>
`;
}

/** Of some, what they say of the whole. */
export type Fact = readonly [name: string, value: string, kind?: "ok" | "failed"];

/** Names and values. */
export function factsHtml(facts: readonly Fact[]): string {
  const rows = facts.map(
    ([name, value, kind]) => `<dt>${escaped(name)}</dt><dd${classOf(kind)}>${escaped(value)}</dd>`,
  );
  return `<dl class="facts">${rows.join("")}</dl>`;
}

export interface TableCell {
  readonly text: string;
  /** In small letters below it. */
  readonly note?: string | undefined;
  readonly kind?: "number" | "ok" | "failed" | "none" | undefined;
  /** Columns that it takes; default one. */
  readonly span?: number | undefined;
}

export interface ReportTable {
  /** The first is that of the rows' names. */
  readonly columns: readonly TableCell[];
  readonly rows: readonly {
    readonly name: string;
    /** What it is, for who points at it. */
    readonly about?: string | undefined;
    readonly cells: readonly TableCell[];
  }[];
}

/** A table that scrolls by itself where it is too wide. */
export function tableHtml({ columns, rows }: ReportTable): string {
  const head = columns.map(({ text, kind }) => `<th scope="col"${classOf(kind)}>${escaped(text)}</th>`);
  const body = rows.map(({ name, about, cells }) => {
    const title = about === undefined ? "" : ` title="${escaped(about)}"`;
    const data = cells.map(({ text, note, kind, span }) => {
      const below = note ? `<br><small>${escaped(note)}</small>` : "";
      const columns = span === undefined ? "" : ` colspan="${span}"`;
      return `<td${classOf(kind)}${columns}>${escaped(text)}${below}</td>`;
    });
    return `<tr><th scope="row"${title}>${escaped(name)}</th>${data.join("")}</tr>`;
  });
  return `<div class="scroll" tabindex="0" role="region" aria-label="table"><table><thead><tr>${head.join("")}</tr></thead><tbody>\n${body.join("\n")}\n</tbody></table></div>`;
}

function classOf(kind: TableCell["kind"]): string {
  return kind === undefined ? "" : ` class="${kind}"`;
}
