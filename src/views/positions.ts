/** M-RoPE's three positions of every token of a prompt, as a plot. */

import type { PositionIds } from "../mrope/positions.ts";
import type { PlacedMedia } from "../prompt/layout.ts";
import { countOf, digits, escaped, grouped } from "./markup.ts";

export interface PositionPlot {
  /** Of every token: t, h and w. */
  readonly positionIds: Readonly<PositionIds>;
  /** In prompt order; what lies between is text. */
  readonly media: readonly Pick<PlacedMedia, "type" | "spans">[];
}

const [TOP, PLOT, BOTTOM] = [44, 220, 24];
const AXES = ["t", "h", "w"] as const;
const AXIS_NAMES = { t: "t, time", h: "h, row", w: "w, column" } as const;
/** Of the plot's width: a narrower span has its name in its title alone. */
const NARROWEST_NAMED = 0.14;

/** An SVG as wide as its place, with text that does not shrink with it. */
export function positionsSvg({ positionIds, media }: PositionPlot): string {
  const tokens = positionIds[0].length;
  const last = positionIds.reduce((most, axis) => axis.reduce((a, b) => Math.max(a, b), most), 0);
  // Room above the largest, and for a prompt of one token.
  const top = (last + 1) * 1.05;
  const spans = media.flatMap(({ spans }) => spans);
  const names = mediaNames(media);
  const y = (position: number) => digits(top - position);
  // Columns below: of many narrow rows they fill their ground.
  const lines = [
    curve("w", spans, positionIds[2], y),
    curve("text", textSpans(spans, tokens), positionIds[0], y),
    curve("h", spans, positionIds[1], y),
    curve("t", spans, positionIds[0], y),
  ];
  const ticks = niceTicks(last);
  const label = `Positions of ${countOf(tokens, "token")}, up to ${grouped(last)}: of text all three are the same and rise by one; of media they differ.`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" class="glimt-drawing glimt-plot" width="100%" height="${TOP + PLOT + BOTTOM}" role="img" aria-label="${escaped(label)}">`,
    ...legend(media.length > 0),
    `<svg y="${TOP}" width="100%" height="${PLOT}" viewBox="0 0 ${Math.max(tokens, 1)} ${digits(top)}" preserveAspectRatio="none">`,
    ...media.map(({ spans }, index) => spanRects(names[index] as string, spans, top)),
    ...ticks.map(
      (tick) =>
        `<line class="glimt-rule" x1="0" x2="${Math.max(tokens, 1)}" y1="${y(tick)}" y2="${y(tick)}"/>`,
    ),
    ...lines,
    "</svg>",
    ...ticks.map(
      (tick) => `<text x="0" y="${digits(TOP + PLOT * (1 - tick / top) - 4)}">${grouped(tick)}</text>`,
    ),
    ...(tokens === 0 ? [] : spanNames(media, names, tokens)),
    `<text x="0" y="${TOP + PLOT + 18}">first token</text>`,
    `<text class="glimt-end" x="100%" y="${TOP + PLOT + 18}">token ${grouped(tokens)}</text>`,
    "</svg>",
  ].join("");
}

type Spans = PlacedMedia["spans"];

function textSpans(media: Spans, tokens: number): Spans {
  const spans: { start: number; length: number }[] = [];
  let start = 0;
  for (const span of [...media].sort((a, b) => a.start - b.start)) {
    if (span.start > start) spans.push({ start, length: span.start - start });
    start = Math.max(start, span.start + span.length);
  }
  if (start < tokens) spans.push({ start, length: tokens - start });
  return spans;
}

/** One path; of points on a line only the ends. */
function curve(name: string, spans: Spans, values: Int32Array, y: (position: number) => string): string {
  const parts = spans.map(({ start, length }) => {
    let path = "";
    for (let at = start; at < start + length; at++) {
      const [before, value, after] = [values[at - 1], values[at], values[at + 1]] as [number, number, number];
      const isEnd = at === start || at === start + length - 1;
      if (isEnd || after - value !== value - before)
        path += `${path === "" ? "M" : "L"}${at + 0.5} ${y(value)}`;
    }
    // A path of one point is drawn by its round ends.
    return length === 1 ? `${path}h0` : path;
  });
  return parts.length === 0 ? "" : `<path class="glimt-axis glimt-axis-${name}" d="${parts.join("")}"/>`;
}

/** "picture 1", "video 1", "picture 2", in the order in which they are given. */
export function mediaNames(media: readonly Pick<PlacedMedia, "type">[]): string[] {
  const counts = { image: 0, video: 0 };
  return media.map(({ type }) => {
    counts[type] += 1;
    return `${type === "image" ? "picture" : "video"} ${counts[type]}`;
  });
}

function spanRects(name: string, spans: Spans, top: number): string {
  const rects = spans.map(
    ({ start, length }) =>
      `<rect class="glimt-span" x="${start}" width="${length}" height="${digits(top)}"/>`,
  );
  const tokens = spans.reduce((sum, { length }) => sum + length, 0);
  return `<g><title>${name}, ${countOf(tokens, "token")}</title>${rects.join("")}</g>`;
}

/** Above the plot, over what they name. */
function spanNames(media: PositionPlot["media"], names: readonly string[], tokens: number): string[] {
  return media.flatMap(({ spans }, index) => {
    const [first, last] = [spans[0], spans.at(-1)];
    if (!first || !last) return [];
    const end = last.start + last.length;
    if ((end - first.start) / tokens < NARROWEST_NAMED) return [];
    const middle = digits((50 * (first.start + end)) / tokens);
    return [`<text class="glimt-middle" x="${middle}%" y="${TOP - 6}">${names[index]}</text>`];
  });
}

function legend(hasMedia: boolean): string[] {
  const entries = [
    ["text", "text, all three"],
    ...(hasMedia ? AXES.map((axis) => [axis, AXIS_NAMES[axis]]) : []),
  ];
  const places = [0, 108, 176, 244];
  return entries.flatMap(([axis, name], index) => {
    const x = places[index] as number;
    return [
      `<line class="glimt-axis glimt-axis-${axis}" x1="${x + 1}" x2="${x + 13}" y1="8" y2="8"/>`,
      `<text x="${x + 20}" y="12">${name}</text>`,
    ];
  });
}

/** From 0, at most five, of round steps. */
function niceTicks(last: number): number[] {
  const least = Math.max(1, last / 4);
  const power = 10 ** Math.floor(Math.log10(least));
  const step = power * ([1, 2, 5, 10].find((factor) => factor * power >= least) as number);
  return Array.from({ length: Math.floor(last / step) + 1 }, (_, index) => index * step);
}
