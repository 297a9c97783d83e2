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
const SAMPLES = 8;

interface Sum {
  low: number;
  high: number;
  rows: number;
}

export class WeightsIdentity {
  /** By name of the weight. */
  readonly #sums = new Map<string, Sum>();

  /** The same weight, whose rows are looked at when they are handed out. */
  watch(weight: WeightRows): WeightRows {
    const { spec, dtype, rows, cols } = weight;
    const sum: Sum = { low: 0, high: 0, rows: 0 };
    this.#sums.set(spec.name, sum);
    const seeds = rowSeeds(spec, dtype);
    const rowBytes = storageBytes(dtype, 1, cols);
    const seen = new Uint8Array(rows);
    return {
      ...weight,
      readRows: async (first, count, into, signal) => {
        await weight.readRows(first, count, into, signal);
        for (let row = first; row < first + count; row++) {
          if (seen[row] === 1) continue;
          seen[row] = 1;
          addRow(sum, seeds(row), into, (row - first) * rowBytes, rowBytes);
        }
      },
    };
  }

  /** Of these weights, once they were loaded: in hexadecimal digits. */
  of(names: Iterable<string>): string {
    let [low, high, rows] = [0, 0, 0];
    for (const name of names) {
      const sum = this.#sums.get(name);
      if (!sum) throw new Error(`Weight "${name}" was not seen while it was loaded.`);
      low = (low + sum.low) | 0;
      high = (high + sum.high) | 0;
      rows += sum.rows;
    }
    return [low, high, rows].map((word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
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
  let low = seed;
  let high = mixed(seed, length);
  const step = Math.max(4, Math.floor(length / SAMPLES));
  for (let start = 0; start < length; start += step) {
    // Another column of each stretch from row to row.
    const room = Math.min(step, length - start) - 3;
    const at = start + (room > 1 ? (seed >>> 0) % room : 0);
    const end = Math.min(at + 4, length);
    let word = 0;
    for (let byte = at; byte < end; byte++) word = (word << 8) | (bytes[from + byte] as number);
    low = mixed(low, word);
    high = mixed(high, word ^ at);
  }
  sum.low = (sum.low + low) | 0;
  sum.high = (sum.high + high) | 0;
  sum.rows++;
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
