/** Reads test/golden/data/mrope.json (made by test/golden/make_mrope.py from Hugging Face transformers). */

import { readFileSync } from "node:fs";
import type { GridThw } from "../../src/processor/grid.ts";

export interface MropeGolden {
  readonly named: readonly {
    readonly name: string;
    readonly spatialMergeSize: number;
    readonly mmTokenTypeIds: number[];
    readonly imageGridThw: GridThw[];
    readonly videoGridThw: GridThw[];
    readonly positionIds: number[][];
    readonly ropeDelta: number;
  }[];
  readonly checksums: readonly number[];
  readonly textRotary: readonly {
    readonly theta: number;
    readonly rotaryDim: number;
    readonly mropeSection: number[];
    readonly positions: number[][];
    readonly cos: string;
    readonly sin: string;
  }[];
  readonly vision: readonly {
    readonly grids: GridThw[];
    readonly headDim: number;
    readonly theta: number;
    readonly spatialMergeSize: number;
    readonly side: number;
    readonly cuSeqlens: number[];
    readonly cos: string;
    readonly sin: string;
    readonly coords: string;
  }[];
}

export const golden: MropeGolden = JSON.parse(
  readFileSync(`${process.cwd()}/test/golden/data/mrope.json`, "utf8"),
);

/** The float32 values of a base64 string. */
export function float32(base64: string): Float32Array {
  const bytes = Buffer.from(base64, "base64");
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
}
