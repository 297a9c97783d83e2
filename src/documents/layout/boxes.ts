/** Which of the boxes that a layout model finds are regions of the page, and in which order they are read. */

import { classNumber, classOf, type RegionUse } from "./classes.ts";

export interface Box {
  readonly classNumber: number;
  readonly score: number;
  /** Pixels of the page: left, top, right, bottom. */
  readonly corners: readonly [number, number, number, number];
  /** Lower is read earlier. */
  readonly order: number;
}

/** A part of a page, as a layout model has found it. */
export interface Region {
  /** PP-DocLayoutV3's name of its class. */
  readonly name: string;
  /** What is done with it: read as text, table or formula, or cut out. */
  readonly use: Exclude<RegionUse, "abandon">;
  /** How sure the model is, 0 to 1. */
  readonly score: number;
  /** Whole pixels of the page, within it. */
  readonly corners: readonly [number, number, number, number];
}

export interface PageSize {
  readonly width: number;
  readonly height: number;
}

const MOST_OVERLAP = { same: 0.6, different: 0.98 };
/** Of its area; a box that lies so far inside another is part of it. */
const CONTAINED = 0.8;
/** A picture that is nearly the whole page is the page's ground. */
const LARGEST_PICTURE = { landscape: 0.82, portrait: 0.93 };
const [IMAGE, CHART, SEAL, REFERENCE] = ["image", "chart", "seal", "reference"].map(classNumber);
/** They stay where they lie inside others. */
const KEPT_INSIDE = [IMAGE, CHART, SEAL];

/** Whoever is as sure as `threshold`, once each, in the order of reading. */
export function regionsOf(boxes: readonly Box[], page: PageSize, threshold: number): Region[] {
  const sure = boxes.filter(({ score }) => score >= threshold);
  const once = withoutDuplicates(sure);
  const found = withoutContained(withoutGround(once, page));
  // Sorting is stable: those of one order stay in the order of their scores.
  return [...found].sort((a, b) => a.order - b.order).flatMap((box) => regionOf(box, page));
}

function regionOf({ classNumber, score, corners }: Box, { width, height }: PageSize): Region[] {
  const known = classOf(classNumber);
  if (!known || known.use === "abandon") return [];
  const within = (value: number, most: number) => Math.trunc(Math.max(0, Math.min(value, most)));
  const [left, top, right, bottom] = corners;
  const inside = [
    within(left, width),
    within(top, height),
    within(right, width),
    within(bottom, height),
  ] as const;
  // What is no number is no box either.
  if (!(inside[0] < inside[2] && inside[1] < inside[3])) return [];
  return [{ name: known.name, use: known.use, score, corners: inside }];
}

/** Non-maximum suppression: of boxes that are nearly the same the surest. */
function withoutDuplicates(boxes: readonly Box[]): Box[] {
  const kept: Box[] = [];
  for (const box of [...boxes].sort((a, b) => b.score - a.score)) {
    const isKnown = kept.some((other) => {
      const most = other.classNumber === box.classNumber ? MOST_OVERLAP.same : MOST_OVERLAP.different;
      return intersectionOverUnion(other, box) >= most;
    });
    if (!isKnown) kept.push(box);
  }
  return kept;
}

/** Both ends of a side belong to it. */
function intersectionOverUnion({ corners: a }: Box, { corners: b }: Box): number {
  const side = (low: number, high: number) => Math.max(0, high - low + 1);
  const area = ([left, top, right, bottom]: Box["corners"]) => (right - left + 1) * (bottom - top + 1);
  const common =
    side(Math.max(a[0], b[0]), Math.min(a[2], b[2])) * side(Math.max(a[1], b[1]), Math.min(a[3], b[3]));
  return common / (area(a) + area(b) - common);
}

function withoutGround(boxes: readonly Box[], { width, height }: PageSize): readonly Box[] {
  if (boxes.length < 2) return boxes;
  const share = width > height ? LARGEST_PICTURE.landscape : LARGEST_PICTURE.portrait;
  const others = boxes.filter(({ classNumber, corners: [left, top, right, bottom] }) => {
    const [across, down] = [
      Math.min(width, right) - Math.max(0, left),
      Math.min(height, bottom) - Math.max(0, top),
    ];
    return classNumber !== IMAGE || across * down <= share * width * height;
  });
  return others.length > 0 ? others : boxes;
}

/**
 * Without those that lie inside others; of references those that hold others go, so that their entries stay.
 */
function withoutContained(boxes: readonly Box[]): Box[] {
  const inside = (a: Box, b: Box) =>
    a !== b && !KEPT_INSIDE.includes(a.classNumber) && containedShare(a, b) >= CONTAINED;
  return boxes.filter((box) => {
    if (boxes.some((other) => other.classNumber !== REFERENCE && inside(box, other))) return false;
    if (box.classNumber !== REFERENCE) return true;
    const isInside = boxes.some((other) => other.classNumber === REFERENCE && inside(box, other));
    const holdsOther = boxes.some((other) => other.classNumber === REFERENCE && inside(other, box));
    return !holdsOther || isInside;
  });
}

function containedShare({ corners: a }: Box, { corners: b }: Box): number {
  const area = (a[2] - a[0]) * (a[3] - a[1]);
  const across = Math.max(0, Math.min(a[2], b[2]) - Math.max(a[0], b[0]));
  const down = Math.max(0, Math.min(a[3], b[3]) - Math.max(a[1], b[1]));
  return area > 0 ? (across * down) / area : 0;
}
