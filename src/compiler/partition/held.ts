/** How the ranks of a tensor group hold a value or a weight. */
import type { IndexRange } from "../../graph/weight-spec.ts";

/**
 * Parts of a size, of which rank r of n has part floor(r parts / n): where there are fewer parts than ranks, several hold the
 * same. Parts begin at multiples of `unit`; they are equal where the size divides so, and else differ by one unit.
 */
export interface Parts {
  readonly parts: number;
  readonly unit: number;
}

/** Of a value: parts of its columns, or a summand on each rank. */
export type Held = Parts | "partial";

/** One part, that every rank has. */
export const WHOLE: Parts = { parts: 1, unit: 1 };

export function isWhole(held: Held): boolean {
  return held !== "partial" && held.parts === 1;
}

export function sameHeld(a: Held, b: Held): boolean {
  if (a === "partial" || b === "partial") return a === b;
  return a.parts === b.parts && a.unit === b.unit;
}

export function partRange(size: number, { parts, unit }: Parts, part: number): IndexRange {
  const bound = (index: number) => Math.floor((index * (size / unit)) / parts) * unit;
  return { first: bound(part), count: bound(part + 1) - bound(part) };
}

/** Why a size has no such parts; null where it has. */
export function partsComplaint(size: number, { parts, unit }: Parts): string | null {
  if (unit === 1) return size % parts === 0 ? null : `not a multiple of ${parts}`;
  return size / unit >= parts ? null : `which are fewer than ${parts} blocks of ${unit}`;
}
