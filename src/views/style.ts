/** How drawings and reports look. Colours are custom properties, so that a page can set others. */

const LIGHT = `
  --glimt-ink: #1f2328; --glimt-soft: #59636e; --glimt-paper: #ffffff; --glimt-raised: #f6f8fa;
  --glimt-line: #d1d9e0; --glimt-accent: #0969da; --glimt-warm: #bc4c00; --glimt-third: #1a7f64;
  --glimt-good: #1a7f37; --glimt-bad: #cf222e;`;
const DARK = `
  --glimt-ink: #e6edf3; --glimt-soft: #9198a1; --glimt-paper: #0d1117; --glimt-raised: #161b22;
  --glimt-line: #3d444d; --glimt-accent: #4493f8; --glimt-warm: #f0883e; --glimt-third: #3fb9a0;
  --glimt-good: #3fb950; --glimt-bad: #f85149;`;

/** The colours, for the root of a page or of a drawing, as the reader's system wants them: light or dark. */
export function colours(root: string): string {
  return `${root} {${LIGHT} }\n@media (prefers-color-scheme: dark) { ${root} {${DARK} } }`;
}

/** For a page that shows drawings of this room: put it into its style sheet, beside `colours(":root")`. */
export const VIEW_STYLE = `
.glimt-drawing { display: block; font: 12px/1.4 system-ui, sans-serif; color: var(--glimt-ink); }
.glimt-drawing text { fill: var(--glimt-soft); }
.glimt-end { text-anchor: end; } .glimt-middle { text-anchor: middle; }
.glimt-grid { width: 100%; height: auto; background: var(--glimt-raised); box-shadow: 0 0 0 1px var(--glimt-line); }
.glimt-grid-under, .glimt-grid-over { fill: none; vector-effect: non-scaling-stroke; shape-rendering: crispEdges; }
.glimt-grid-under { stroke: #000; stroke-opacity: 0.25; stroke-width: 2; }
.glimt-grid-over { stroke: #fff; stroke-opacity: 0.5; stroke-width: 1; }
.glimt-blank { fill: #fff; }
.glimt-veil { fill: var(--glimt-paper); shape-rendering: crispEdges; }
.glimt-weight { fill: #ff9a3d; mix-blend-mode: multiply; }
.glimt-plot { width: 100%; overflow: visible; }
.glimt-plot path, .glimt-plot line { fill: none; vector-effect: non-scaling-stroke; }
.glimt-rule { stroke: var(--glimt-line); stroke-width: 1; }
.glimt-span { fill: var(--glimt-ink); fill-opacity: 0.06; }
.glimt-axis { stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
.glimt-axis-text { stroke: var(--glimt-soft); } .glimt-axis-t { stroke: var(--glimt-accent); }
.glimt-axis-h { stroke: var(--glimt-warm); } .glimt-axis-w { stroke: var(--glimt-third); stroke-width: 1.25; stroke-opacity: 0.7; }
.glimt-track { fill: var(--glimt-line); fill-opacity: 0.6; }
.glimt-taken { stroke: var(--glimt-accent); stroke-width: 2; }
.glimt-frames { display: grid; grid-template-columns: repeat(auto-fill, minmax(104px, 1fr)); gap: 8px; margin: 12px 0 0;
  padding: 0; list-style: none; font: 12px/1.4 system-ui, sans-serif; color: var(--glimt-soft); }
.glimt-frames img { display: block; width: 100%; height: auto; border-radius: 3px; background: var(--glimt-raised); }
.glimt-looks { display: grid; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); gap: 16px 12px; align-items: end;
  margin: 12px 0; padding: 0; list-style: none; font: 12px/1.4 system-ui, sans-serif; color: var(--glimt-soft); }
.glimt-looks b { font: 600 13px/1.6 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; color: var(--glimt-ink); white-space: pre-wrap; }
.glimt-looks .glimt-grid-under, .glimt-looks .glimt-grid-over { display: none; }
.glimt-pictures { position: absolute; width: 0; height: 0; }
.glimt-prompt { white-space: pre-wrap; overflow-wrap: anywhere; margin: 0; padding: 12px 14px; border-radius: 6px;
  background: var(--glimt-raised); color: var(--glimt-ink);
  font: 13px/1.7 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
.glimt-special, .glimt-folded { padding: 1px 4px; border-radius: 3px; }
.glimt-special { color: var(--glimt-soft); box-shadow: inset 0 0 0 1px var(--glimt-line); }
.glimt-folded { color: var(--glimt-accent); box-shadow: inset 0 0 0 1px currentColor; white-space: nowrap; }
.glimt-tokens { display: flex; flex-wrap: wrap; gap: 4px; margin: 0; padding: 0; list-style: none;
  font: 12px/1.35 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
.glimt-tokens li { max-width: 100%; padding: 2px 6px; border-radius: 4px; background: var(--glimt-raised); color: var(--glimt-ink); }
.glimt-tokens span { display: block; white-space: pre-wrap; overflow-wrap: anywhere; }
.glimt-tokens small { color: var(--glimt-soft); font-size: 11px; }
.glimt-tokens .glimt-special { background: none; color: var(--glimt-soft); }
.glimt-tokens .glimt-folded { background: none; color: var(--glimt-accent); }
`;
