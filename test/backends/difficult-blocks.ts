/** A weight of every kind of block, in each type that a checkpoint may have it in. */
import type { WeightRows } from "../../src/backends/backend.ts";
import { weightRows } from "../../src/conformance/harness.ts";
import type { WeightSpec } from "../../src/graph/weight-spec.ts";
import { type MadeBlockFormat, quantise } from "../../src/tensor/blocks.ts";
import { fromFloat32, toFloat32 } from "../../src/tensor/elements.ts";
import { storageBytes } from "../../src/tensor/storage.ts";

export interface DifficultSource {
  readonly dtype: string;
  readonly source: WeightRows;
  /** What it becomes: ggml's bytes. */
  readonly plain: Uint8Array;
}

/** Of the weight "w" [rows, cols], to be stored as `weight`. */
export function difficultSources(weight: MadeBlockFormat, rows: number, cols: number): DifficultSource[] {
  const spec: WeightSpec = { name: "w", shape: [rows, cols], dtype: weight, sources: [] };
  const values = Float32Array.from({ length: rows * cols }, (_, index) => difficult(index));
  return (["f32", "bf16", "f16", "ggml's"] as const).map((dtype) => {
    const plain = new Uint8Array(storageBytes(weight, rows, cols));
    const isNarrow = dtype === "bf16" || dtype === "f16";
    const bad = quantise(weight, isNarrow ? toFloat32(dtype, fromFloat32(dtype, values)) : values, plain);
    if (bad > 0) throw new Error(`${bad} values are not finite`);
    const readRows = rowsOf(plain, storageBytes(weight, 1, cols));
    const source =
      dtype === "ggml's"
        ? { ...weightRows(spec, []), dtype: weight, readRows }
        : weightRows(spec, values, dtype);
    return { dtype, source, plain };
  });
}

/** Blocks of ties, of zeros, of one value, of equal magnitudes with both signs, and of values of any size. */
function difficult(index: number): number {
  const [block, column] = [Math.floor(index / 32), index % 32];
  const wild = Math.sin(index * 12.9898) * 2 ** ((block % 11) - 9);
  return [wild, (column - 16) / 2, 0, block % 2 ? -3 : 3, column % 2 ? 1 : -1, wild * 1e-6][
    block % 6
  ] as number;
}

function rowsOf(bytes: Uint8Array, rowBytes: number): WeightRows["readRows"] {
  return async (first, count, into) => {
    into.set(bytes.subarray(first * rowBytes, (first + count) * rowBytes));
  };
}
