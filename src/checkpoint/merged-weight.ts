/** A weight with adapters merged into it: W + scale * B A, row by row while it is read. */

import { sourceRectangle, type WeightSource, type WeightSpec } from "../graph/weight-spec.ts";
import { widenRows } from "../tensor/rows.ts";
import { storageBytes } from "../tensor/storage.ts";
import { type Adapter, type AdapterModule, adapterRows, adapterSpecs } from "./adapter.ts";
import type { FileRange } from "./files.ts";
import type { NotFiniteTensor, WeightReader } from "./weight-reader.ts";

export interface MergedAdapter {
  readonly adapter: Adapter;
  readonly scale: number;
}

/** What an upload needs of a weight, merged or not. */
export type ReadableWeight = Pick<
  WeightReader,
  "spec" | "dtype" | "rows" | "cols" | "bytes" | "position" | "ranges" | "readRows" | "findNotFinite"
>;

/** What can be merged into, by module path: every tensor that the weights are made of, routed experts too. */
export function mergeTargets(specs: readonly WeightSpec[]): Map<string, WeightSource> {
  const sources = specs.flatMap((spec) => spec.sources);
  return new Map(sources.map((source) => [source.tensor.replace(/\.weight$/, ""), source]));
}

/** The weights with those that an adapter changes replaced. Adapters must fit: see `checkAdapterFits`. */
export function mergeAdapters(
  weights: readonly WeightReader[],
  adapters: readonly MergedAdapter[],
): ReadableWeight[] {
  return weights.map((weight) => {
    const deltas: Delta[] = [];
    let firstRow = 0;
    for (const source of weight.spec.sources) {
      for (const { adapter, scale } of adapters) {
        const module = adapter.modules.get(source.tensor.replace(/\.weight$/, ""));
        if (module && scale !== 0) deltas.push(new Delta(adapter, module, source, scale, firstRow));
      }
      firstRow += sourceRectangle(source).rows.count;
    }
    return deltas.length === 0 ? weight : new MergedWeight(weight, deltas);
  });
}

/** Sums in float64, handed out in float32: the storage type is rounded to once. */
class MergedWeight implements ReadableWeight {
  readonly dtype = "f32";
  readonly spec: WeightSpec;
  readonly rows: number;
  readonly cols: number;
  readonly position: number;
  readonly #base: WeightReader;
  readonly #deltas: readonly Delta[];

  constructor(base: WeightReader, deltas: readonly Delta[]) {
    this.spec = base.spec;
    this.rows = base.rows;
    this.cols = base.cols;
    this.position = base.position;
    this.#base = base;
    this.#deltas = deltas;
  }

  get bytes(): number {
    return storageBytes(this.dtype, this.rows, this.cols);
  }

  /** Of the weight itself; an adapter's matrices are small. */
  get ranges(): FileRange[] {
    return this.#base.ranges;
  }

  async readRows(first: number, count: number, into: Uint8Array, signal?: AbortSignal): Promise<void> {
    const sums = Float64Array.from(await readWide(this.#base, first, count, signal));
    for (const delta of this.#deltas) await delta.addRows(first, count, sums, signal);
    new Float32Array(into.buffer, into.byteOffset, sums.length).set(sums);
  }

  /** What is not finite in one of them is not in the sum. */
  async findNotFinite(signal?: AbortSignal): Promise<NotFiniteTensor | null> {
    for (const part of [this.#base, ...this.#deltas]) {
      const found = await part.findNotFinite(signal);
      if (found) return found;
    }
    return null;
  }
}

/** scale * B A of one module, as rows of the weight that holds the module's. */
class Delta {
  readonly #a: WeightReader;
  readonly #b: WeightReader;
  readonly #firstRow: number;
  #aValues: Promise<Float32Array> | undefined;

  constructor(adapter: Adapter, module: AdapterModule, base: WeightSource, scale: number, firstRow: number) {
    const specs = adapterSpecs(module, base, scale);
    this.#a = adapterRows(adapter, specs.a);
    this.#b = adapterRows(adapter, specs.b);
    this.#firstRow = firstRow;
  }

  async findNotFinite(signal?: AbortSignal): Promise<NotFiniteTensor | null> {
    return (await this.#a.findNotFinite(signal)) ?? this.#b.findNotFinite(signal);
  }

  /** Adds what falls into rows [first, first + count) to `sums`, which hold those rows. */
  async addRows(
    first: number,
    count: number,
    sums: Float64Array,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const from = Math.max(first, this.#firstRow);
    const to = Math.min(first + count, this.#firstRow + this.#b.rows);
    if (from >= to) return;
    this.#aValues ??= readWide(this.#a, 0, this.#a.rows, signal);
    const a = await this.#aValues;
    const b = await readWide(this.#b, from - this.#firstRow, to - from, signal);
    const { rows: rank, cols } = this.#a;
    for (let row = from; row < to; row++) {
      const start = (row - first) * cols;
      for (let k = 0; k < rank; k++) {
        const factor = b[(row - from) * rank + k] as number;
        for (let column = 0; column < cols; column++) {
          sums[start + column] = (sums[start + column] as number) + factor * (a[k * cols + column] as number);
        }
      }
    }
  }
}

async function readWide(
  weight: WeightReader,
  first: number,
  count: number,
  signal: AbortSignal | undefined,
): Promise<Float32Array> {
  const bytes = new Uint8Array(storageBytes(weight.dtype, count, weight.cols));
  await weight.readRows(first, count, bytes, signal);
  return widenRows(weight.dtype, bytes);
}
