/** A resized picture under the grid of its merged patches: each cell is one token of the prompt. */

import type { GridThw } from "../processor/grid.ts";
import { countOf, digits, escaped } from "./markup.ts";

export interface PatchGrid {
  /** Pixels that the picture was resized to. */
  readonly width: number;
  readonly height: number;
  /** In patches; of a video one temporal patch is drawn. */
  readonly gridThw: GridThw;
  /** Patches a side of a cell. */
  readonly mergeSize: number;
  /** Address of the resized picture, or #id of one in the page; without one the grid lies on a plain ground. */
  readonly image?: string | undefined;
  /** One a cell, row by row, such as an answer's attention: the larger the stronger coloured. */
  readonly weights?: ArrayLike<number> | undefined;
}

/** Strengths between none and the strongest. */
const STEPS = 10;
/** What lies over cells of no weight, and over the strongest. */
const VEIL = 0.7;
const TINT = 0.6;

/** An SVG as wide as its place. */
export function patchGridSvg(grid: PatchGrid): string {
  const { width, height, gridThw, mergeSize, image, weights } = grid;
  const [rows, columns] = [gridThw[1] / mergeSize, gridThw[2] / mergeSize];
  const cell = { width: width / columns, height: height / rows };
  const label = `${width} x ${height} pixels in ${columns} x ${rows} cells, ${countOf(rows * columns, "token")}`;
  const lines = [
    ...inner(columns).map((column) => `M${digits(column * cell.width)} 0V${height}`),
    ...inner(rows).map((row) => `M0 ${digits(row * cell.height)}H${width}`),
  ].join("");
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" class="glimt-drawing glimt-grid" viewBox="0 0 ${width} ${height}" role="img" aria-label="${escaped(label)}">`,
    ...(image === undefined ? [] : [ground(image, width, height)]),
    ...(image === undefined && weights
      ? [`<rect class="glimt-blank" width="${width}" height="${height}"/>`]
      : []),
    `<path class="glimt-grid-under" d="${lines}"/><path class="glimt-grid-over" d="${lines}"/>`,
    ...(weights === undefined ? [] : weightCells(weights, columns, cell)),
    "</svg>",
  ].join("");
}

function ground(image: string, width: number, height: number): string {
  const href = escaped(image);
  return image.startsWith("#")
    ? `<use href="${href}"/>`
    : `<image href="${href}" width="${width}" height="${height}"/>`;
}

function inner(count: number): number[] {
  return Array.from({ length: count - 1 }, (_, index) => index + 1);
}

/**
 * A veil, the thinner the stronger a cell, so that what counts is seen through it on whatever ground; and a tint that is
 * seen on blank ones. Strengths are told apart in steps, each a path.
 */
function weightCells(
  weights: ArrayLike<number>,
  columns: number,
  cell: { readonly width: number; readonly height: number },
): string[] {
  const all = Array.from(weights);
  const most = all.reduce((a, b) => Math.max(a, b), 0);
  const steps = all.map((weight) => (most > 0 ? Math.round((STEPS * weight) / most) : 0));
  return Array.from({ length: STEPS + 1 }, (_, step) => step).flatMap((step) => {
    const runs = runsOf(steps, step, columns).map(({ start, length }) => {
      const [x, y] = [(start % columns) * cell.width, Math.floor(start / columns) * cell.height];
      const width = digits(length * cell.width);
      return `M${digits(x)} ${digits(y)}h${width}v${digits(cell.height)}h-${width}z`;
    });
    if (runs.length === 0) return [];
    const layer = (name: string, opacity: number) =>
      opacity === 0 ? [] : [`<path class="${name}" fill-opacity="${digits(opacity)}" d="${runs.join("")}"/>`];
    const strength = step / STEPS;
    return [...layer("glimt-veil", VEIL * (1 - strength)), ...layer("glimt-weight", TINT * strength)];
  });
}

/** Cells of one step that stand side by side. */
function runsOf(steps: readonly number[], wanted: number, columns: number) {
  const runs: { start: number; length: number }[] = [];
  for (const [index, step] of steps.entries()) {
    if (step !== wanted) continue;
    const last = runs.at(-1);
    if (last && last.start + last.length === index && index % columns !== 0) last.length += 1;
    else runs.push({ start: index, length: 1 });
  }
  return runs;
}
