/** Rotary tables in float32 with the reference's order of operations: inverse frequency, angle, then cosine and sine. */

import type { TextRopeConfig } from "../config/types.ts";
import { GlimtError } from "../errors.ts";
import { type GridThw, numPatches } from "../processor/grid.ts";
import { inverseFrequencies, textFrequencies } from "./frequencies.ts";
import { forEachPatch } from "./patch-order.ts";
import type { PositionIds } from "./positions.ts";

/** cos and sin, row-major [rows, frequencies]: one row a token or patch. */
export interface RotaryTable {
  readonly cos: Float32Array;
  readonly sin: Float32Array;
}

/**
 * Table of the decoder, [tokens, rotaryDim / 2]. The frequencies form contiguous sections for T, H, W (cycling when
 * there are more than three); each section reads the positions of its own axis. The table does not depend on which
 * dimensions form a pair.
 *
 * Source: Glm4vTextRotaryEmbedding in transformers.
 */
export function textRotaryTable(positionIds: Readonly<PositionIds>, rope: TextRopeConfig): RotaryTable {
  return textRotary(rope)(positionIds);
}

/** `textRotaryTable` of one configuration, for whoever calls it step by step. */
export function textRotary(rope: TextRopeConfig): (positionIds: Readonly<PositionIds>) => RotaryTable {
  const half = rope.rotaryDim / 2;
  const { frequencies, scale } = textFrequencies(rope);
  const axes = sectionAxes(rope.mropeSection, half);
  return (positionIds) => {
    const tokens = positionIds[0].length;
    const table = emptyTable(tokens * half);
    for (let token = 0; token < tokens; token++) {
      for (let i = 0; i < half; i++) {
        const position = positionIds[axes[i] as 0 | 1 | 2][token] as number;
        setAngle(table, token * half + i, position, frequencies[i] as number, scale);
      }
    }
    return table;
  };
}

export interface VisionRotaryOptions {
  readonly spatialMergeSize: number;
  readonly headDim: number;
  readonly theta: number;
}

/**
 * Table of the vision tower, [patches, headDim / 2], rows in merge-block order: the first half of a row turns with
 * the patch's row, the second with its column. Frames of a video repeat the same rows.
 *
 * Source: Glm4vVisionRotaryEmbedding ("axial") in transformers.
 */
export function visionRotaryTable(grids: readonly GridThw[], options: VisionRotaryOptions): RotaryTable {
  const { headDim, spatialMergeSize } = options;
  const half = headDim / 2;
  const quarter = half / 2;
  const frequencies = inverseFrequencies(options.theta, half);
  const longest = grids.reduce((most, [, h, w]) => Math.max(most, h, w), 0);
  const axis = emptyTable(longest * quarter);
  for (let position = 0; position < longest; position++) {
    for (let i = 0; i < quarter; i++)
      setAngle(axis, position * quarter + i, position, frequencies[i] as number);
  }

  const table = emptyTable(grids.reduce((sum, grid) => sum + numPatches(grid), 0) * half);
  forEachPatch(grids, spatialMergeSize, (patch, row, column) => {
    for (const part of ["cos", "sin"] as const) {
      table[part].set(axis[part].subarray(row * quarter, (row + 1) * quarter), patch * half);
      table[part].set(axis[part].subarray(column * quarter, (column + 1) * quarter), patch * half + quarter);
    }
  });
  return table;
}

/** Which position axis (0 T, 1 H, 2 W) drives each frequency. */
function sectionAxes(sections: readonly number[], half: number): number[] {
  const axes = sections.flatMap((length, i) => new Array<number>(length).fill(i % 3));
  if (axes.length !== half) {
    throw new GlimtError(
      "CONFIG_INVALID",
      `mrope_section ${sections.join(", ")} sums to ${axes.length}; the rotary dimension needs ${half}.`,
    );
  }
  return axes;
}

function emptyTable(length: number): RotaryTable {
  return { cos: new Float32Array(length), sin: new Float32Array(length) };
}

function setAngle(table: RotaryTable, index: number, position: number, frequency: number, scale = 1): void {
  const angle = Math.fround(position * frequency);
  table.cos[index] = Math.fround(Math.cos(angle)) * scale;
  table.sin[index] = Math.fround(Math.sin(angle)) * scale;
}
