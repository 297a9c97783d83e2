/** The random prompts of test/golden/make_mrope.py: same generator, same draws, so that only checksums are stored. */

import type { GridThw } from "../../src/processor/grid.ts";

export interface RandomPrompt {
  readonly spatialMergeSize: number;
  readonly mmTokenTypeIds: number[];
  readonly imageGridThw: GridThw[];
  readonly videoGridThw: GridThw[];
}

export function randomPrompt(seed: number): RandomPrompt {
  const below = generator(seed);
  const merge = 1 + below(3);
  const tokens: number[] = new Array(below(6)).fill(0);
  const append = (count: number, type: number) => {
    for (let i = 0; i < count; i++) tokens.push(type);
  };
  const imageGridThw: GridThw[] = [];
  const videoGridThw: GridThw[] = [];
  const pieces = below(6);
  for (let piece = 0; piece < pieces; piece++) {
    const kind = below(3);
    if (kind === 0) {
      append(1 + below(20), 0);
    } else if (kind === 1) {
      const [h, w] = [merge * (1 + below(7)), merge * (1 + below(7))];
      imageGridThw.push([1, h, w]);
      append((h * w) / merge ** 2, 1);
      append(1 + below(4), 0);
    } else {
      const [t, h, w] = [1 + below(4), merge * (1 + below(5)), merge * (1 + below(5))];
      videoGridThw.push([t, h, w]);
      for (let frame = 0; frame < t; frame++) {
        append((h * w) / merge ** 2, 2);
        append(1 + below(5), 0);
      }
    }
  }
  if (below(4) === 0) while (tokens.at(-1) === 0) tokens.pop();
  if (tokens.length === 0) tokens.push(0);
  return { spatialMergeSize: merge, mmTokenTypeIds: tokens, imageGridThw, videoGridThw };
}

function generator(seed: number): (bound: number) => number {
  let state = seed >>> 0;
  return (bound) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state >>> 8) % bound;
  };
}
