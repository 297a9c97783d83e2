/**
 * What tells a model's weights from others', of what is seen while they are loaded: the names, shapes and storage of their
 * tensors, and some bytes of each row, at other columns from row to row. Weights that were trained on, merged with an
 * adapter, or quantised otherwise differ; whoever wants to can make two that are not told apart.
 *
 * Each row counts by itself, so that stacks of tensors, which backends choose, are no matter.
 */
import type { WeightRows } from "../backends/backend.ts";
import { sourceRectangle, type WeightSpec } from "../graph/weight-spec.ts";
import { storageBytes } from "../tensor/storage.ts";

/** Looked at of each row, 4 bytes each. */
const SAMPLES = 6;

/** Two sums over rows, and how many these are. */
type Sum = Int32Array;

export class WeightsIdentity {
  /** By name of the weight. */
  readonly #sums = new Map<string, Sum>();

  /** The same weight, whose rows are looked at when they are handed out. */
  watch(weight: WeightRows): WeightRows {
    const { spec, dtype, rows, cols } = weight;
    const sum: Sum = new Int32Array(3);
    this.#sums.set(spec.name, sum);
    const seedOf = rowSeeds(spec, dtype);
    const rowBytes = storageBytes(dtype, 1, cols);
    const seen = new Uint8Array(rows);
    return {
      ...weight,
      readRows: async (first, count, into, signal) => {
        await weight.readRows(first, count, into, signal);
        for (let row = first; row < first + count; row++) {
          if (seen[row] === 1) continue;
          seen[row] = 1;
          addRow(sum, seedOf(row), into, (row - first) * rowBytes, rowBytes);
        }
      },
    };
  }

  /** Of these weights, once they were loaded: in hexadecimal digits. */
  of(names: Iterable<string>): string {
    const total: Sum = new Int32Array(3);
    for (const name of names) {
      const sum = this.#sums.get(name);
      if (!sum) throw new Error(`Weight "${name}" was not seen while it was loaded.`);
      for (const [at, value] of sum.entries()) total[at]! += value;
    }
    return Array.from(total, (word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
  }
}

/** Of each row, a number for the tensor, its row there, and how both are stored. */
function rowSeeds({ sources, dtype: stored }: WeightSpec, dtype: string): (row: number) => number {
  const parts: { readonly end: number; readonly seed: number; readonly shift: number }[] = [];
  let start = 0;
  for (const source of sources) {
    const { rows, cols } = sourceRectangle(source);
    const named = JSON.stringify([source.tensor, source.shape, cols, source.scale, dtype, stored]);
    parts.push({ end: start + rows.count, seed: textHash(named), shift: rows.first - start });
    start += rows.count;
  }
  let at = 0;
  return (row) => {
    if (row < (parts[at - 1]?.end ?? 0)) at = 0;
    while (row >= (parts[at]?.end ?? Number.POSITIVE_INFINITY)) at++;
    const { seed, shift } = parts[at] ?? { seed: 0, shift: 0 };
    return mixed(seed, row + shift);
  };
}

function addRow(sum: Sum, seed: number, bytes: Uint8Array, from: number, length: number): void {
  const step = Math.max(4, Math.floor(length / SAMPLES));
  // Another column of each stretch from row to row.
  const shift = step > 4 ? (seed >>> 0) % (step - 3) : 0;
  let low = seed;
  let high = length;
  for (let at = from + shift; at + 4 <= from + length; at += step) {
    const word =
      (bytes[at] as number) |
      ((bytes[at + 1] as number) << 8) |
      ((bytes[at + 2] as number) << 16) |
      ((bytes[at + 3] as number) << 24);
    low = mixed(low, word);
    high = Math.imul(high ^ word, 0x85ebca6b) ^ (high >>> 15);
  }
  // What is shorter than a sample.
  for (let at = length < 4 ? from : from + length; at < from + length; at++) {
    low = mixed(low, bytes[at] as number);
  }
  sum[0]! += low;
  sum[1]! += mixed(high, seed);
  sum[2]!++;
}

/** One step of MurmurHash3's 32-bit form. */
function mixed(hash: number, word: number): number {
  let k = Math.imul(word, 0xcc9e2d51);
  k = Math.imul((k << 15) | (k >>> 17), 0x1b873593);
  const h = hash ^ k;
  return (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) | 0;
}

function textHash(text: string): number {
  let hash = 0;
  for (let i = 0; i < text.length; i++) hash = mixed(hash, text.charCodeAt(i));
  return hash;
}
