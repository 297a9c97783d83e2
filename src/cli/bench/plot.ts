/** What `glimt bench` found, drawn: an SVG that reads on light and on dark pages. */
import { escaped } from "../../views/markup.ts";
import { allLines, type BenchReport, groupLines, type Line } from "./report.ts";

const WIDTH = 760;
const LEFT = 190;
const RIGHT = 110;
const BAR = 18;
const STEP = 26;
const HEADING = 34;
/** Of a profile the ops that take most; the others are one. */
const SEGMENTS = 7;

const STYLE = `
svg { --ink: #1f2328; --soft: #656d76; --paper: #ffffff; --track: #eaeef2; --bar: #0969da; --limit: #bc4c00; }
@media (prefers-color-scheme: dark) {
  svg { --ink: #e6edf3; --soft: #8d96a0; --paper: #0d1117; --track: #21262d; --bar: #4493f8; --limit: #f0883e; }
}
text { font: 13px system-ui, sans-serif; fill: var(--ink); }
.title { font-weight: 600; font-size: 15px; }
.soft { fill: var(--soft); font-size: 12px; }
.end { text-anchor: end; }
.paper { fill: var(--paper); }
.track { fill: var(--track); }
.bar { fill: var(--bar); }
.limit { stroke: var(--limit); stroke-width: 2.5; }
.s0 { fill: #4c8fe8; } .s1 { fill: #e0823d; } .s2 { fill: #3fa66b; } .s3 { fill: #b46fd1; }
.s4 { fill: #d9607a; } .s5 { fill: #34a7b5; } .s6 { fill: #b59b2c; } .s7 { fill: #8b949e; }
`;

interface Drawn {
  readonly elements: readonly string[];
  readonly height: number;
}

export function benchPlot(report: BenchReport): string {
  const { vision, prefill, decode, ceilings } = report;
  const panels = [
    headPanel(report),
    barPanel("Vision, tokens a second", vision, ({ width, height }) => `${width} x ${height}`),
    barPanel("Prefill, tokens a second", prefill, ({ tokens }) => `${tokens} tokens`),
    barPanel("Decode, tokens a second", decode, (line) => `context ${line.context}, batch ${line.batch}`),
    ...(ceilings ? [legendPanel()] : []),
    ...profilePanels(report),
  ];
  const placed: string[] = [];
  let y = 12;
  for (const { elements, height } of panels) {
    if (elements.length === 0) continue;
    placed.push(`<g transform="translate(0 ${y})">${elements.join("")}</g>`);
    y += height + 14;
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y}" width="${WIDTH}" height="${y}">
<style>${STYLE}</style>
<rect class="paper" width="${WIDTH}" height="${y}"/>
${placed.join("\n")}
</svg>
`;
}

function headPanel({ model, backend, host }: BenchReport): Drawn {
  return {
    elements: [
      text(16, 18, `${model.architecture}, weights ${model.dtype}`, "title"),
      text(16, 38, `${backend.description}; ${host.processors} x ${host.cpu}; Node ${host.node}`, "soft"),
    ],
    height: 40,
  };
}

/** A bar a line, and a mark where the ceiling is. */
function barPanel<Size>(
  title: string,
  lines: readonly (Size & Line)[],
  name: (line: Size & Line) => string,
): Drawn {
  const ends = lines.map((line) =>
    "error" in line ? 0 : Math.max(line.tokensPerSecond, limitOf(line) ?? 0),
  );
  const scale = (WIDTH - LEFT - RIGHT) / Math.max(...ends, 1e-9);
  const elements = lines.flatMap((line, index) => {
    const y = HEADING + index * STEP;
    const label = text(LEFT - 10, y + 14, name(line), "end");
    if ("error" in line) return [label, text(LEFT, y + 14, `not measured: ${line.error.code}`, "soft")];
    const { tokensPerSecond, ceiling } = line;
    const limit = limitOf(line);
    const length = tokensPerSecond * scale;
    const share = ceiling ? ` (${Math.round(100 * ceiling.share)} %)` : "";
    const end = LEFT + Math.max(length, (limit ?? 0) * scale);
    return [
      label,
      ...(limit === null ? [] : [rect(LEFT, y, limit * scale, "track")]),
      rect(LEFT, y, length, "bar"),
      ...(limit === null ? [] : [mark(LEFT + limit * scale, y)]),
      text(end + 8, y + 14, `${short(tokensPerSecond)}${share}`),
    ];
  });
  if (lines.length === 0) return { elements: [], height: 0 };
  return { elements: [text(16, 18, title, "title"), ...elements], height: HEADING + lines.length * STEP };
}

/** Tokens a second at the ceiling. */
function limitOf(line: Exclude<Line, { readonly error: unknown }>): number | null {
  return line.ceiling && line.tokensPerSecond / line.ceiling.share;
}

function legendPanel(): Drawn {
  const what =
    "what the machine could do: its multiply-adds, integer products or reading, measured in the same run";
  return { elements: [mark(20, 0), text(30, 14, what, "soft")], height: BAR };
}

/** A bar of the whole time for each pass, cut by op. */
function profilePanels(report: BenchReport): Drawn[] {
  const passes = allLines(report).flatMap(([title, line]) =>
    "error" in line || !line.profile ? [] : [{ title, ops: groupLines(line.profile.lines, "op") }],
  );
  if (passes.length === 0) return [];
  const totals = new Map<string, number>();
  for (const { ops } of passes) {
    const all = ops.reduce((sum, { milliseconds }) => sum + milliseconds, 0);
    for (const { op, milliseconds } of ops)
      totals.set(op, (totals.get(op) ?? 0) + milliseconds / Math.max(all, 1e-9));
  }
  const leading = [...totals]
    .sort(([, a], [, b]) => b - a)
    .map(([op]) => op)
    .slice(0, SEGMENTS);
  const rank = (op: string) => (leading.includes(op) ? leading.indexOf(op) : SEGMENTS);
  const elements = passes.flatMap(({ title, ops }, index) => {
    const y = HEADING + index * STEP;
    const all = ops.reduce((sum, { milliseconds }) => sum + milliseconds, 0);
    const scale = (WIDTH - LEFT - RIGHT) / Math.max(all, 1e-9);
    let x = LEFT;
    const segments = [...ops]
      .sort((a, b) => rank(a.op) - rank(b.op))
      .map(({ op, milliseconds }) => {
        const segment = rect(x, y, milliseconds * scale, `s${rank(op)}`, `${op}: ${short(milliseconds)} ms`);
        x += milliseconds * scale;
        return segment;
      });
    return [text(LEFT - 10, y + 14, title, "end"), ...segments, text(x + 8, y + 14, `${short(all)} ms`)];
  });
  const below = HEADING + passes.length * STEP + 8;
  const names = totals.size > SEGMENTS ? [...leading, "others"] : leading;
  const legend = names.flatMap((name, index) => {
    const [x, y] = [16 + (index % 4) * 186, below + Math.floor(index / 4) * 22];
    return [
      `<rect class="s${index}" x="${x}" y="${y}" width="12" height="12"/>`,
      text(x + 18, y + 11, name, "soft"),
    ];
  });
  return [
    {
      elements: [text(16, 18, "Where the time goes, by op", "title"), ...elements, ...legend],
      height: below + Math.ceil(names.length / 4) * 22,
    },
  ];
}

function rect(x: number, y: number, width: number, name: string, title?: string): string {
  const inside = title === undefined ? "" : `<title>${escaped(title)}</title>`;
  return `<rect class="${name}" x="${x.toFixed(1)}" y="${y}" width="${Math.max(0, width).toFixed(1)}" height="${BAR}">${inside}</rect>`;
}

function mark(x: number, y: number): string {
  return `<line class="limit" x1="${x.toFixed(1)}" x2="${x.toFixed(1)}" y1="${y - 2}" y2="${y + BAR + 2}"/>`;
}

function text(x: number, y: number, content: string, name = ""): string {
  return `<text${name ? ` class="${name}"` : ""} x="${x.toFixed(1)}" y="${y}">${escaped(content)}</text>`;
}

function short(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}
