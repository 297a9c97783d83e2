/**
 * Features of images and videos that were encoded, by what they are features of: a copy in the slab, kept until it was not
 * asked for longest and room is needed. Requests copy what they find into a range of their own, on the device, so what is
 * kept is nobody's and can go at any time.
 */
import type { DeviceRows, Engine } from "../backends/backend.ts";
import { storageBytes } from "../tensor/storage.ts";
import type { FeatureRange, FeatureSlab } from "./feature-slab.ts";
import { outOfMemory } from "./out-of-memory.ts";

/** What came of looking for features, since the model was loaded. */
export interface EncoderCacheFigures {
  /** Bytes of features that are kept now. */
  readonly bytes: number;
  /** Images and videos that were looked for. */
  readonly queries: number;
  /** Of them, those that were found. */
  readonly hits: number;
}

export class EncoderCache {
  readonly #engine: Engine;
  readonly #slab: FeatureSlab;
  readonly #mostBytes: number;
  /** The longest not asked for first. */
  readonly #ranges = new Map<string, FeatureRange>();
  #bytes = 0;
  #queries = 0;
  #hits = 0;

  /** @param mostBytes of what is kept; 0: nothing is */
  constructor(engine: Engine, slab: FeatureSlab, mostBytes: number) {
    this.#engine = engine;
    this.#slab = slab;
    this.#mostBytes = mostBytes;
  }

  get isOn(): boolean {
    return this.#mostBytes > 0;
  }

  get figures(): EncoderCacheFigures {
    return { bytes: this.#bytes, queries: this.#queries, hits: this.#hits };
  }

  /** Looks for features of items that are encoded together. @returns whether all of them are kept */
  has(keys: readonly string[]): boolean {
    this.#queries += keys.length;
    return keys.length > 0 && keys.every((key) => this.#ranges.has(key));
  }

  /** Copies what is kept under `key` to `target`. */
  read(key: string, target: DeviceRows): void {
    const range = this.#ranges.get(key);
    if (!range) return;
    this.#hits++;
    this.#ranges.delete(key);
    this.#ranges.set(key, range);
    this.#engine.copy(target.tensor, target.firstRow, range.deviceRows());
  }

  /** Keeps a copy of `rows` rows, where they fit and memory has room for them. */
  keep(key: string, rows: number, source: () => DeviceRows): void {
    const bytes = this.#bytesOf(rows);
    if (bytes > this.#mostBytes || this.#ranges.has(key)) return;
    for (const oldest of this.#ranges.keys()) {
      if (this.#bytes + bytes <= this.#mostBytes) break;
      this.#drop(oldest);
    }
    outOfMemory(() => {
      const range = this.#slab.take(rows);
      // Taking it may have moved the slab.
      this.#engine.copy(this.#slab.tensor, range.firstRow, source());
      this.#ranges.set(key, range);
      this.#bytes += bytes;
    });
  }

  /** Gives all of it back. */
  trim(): void {
    for (const key of this.#ranges.keys()) this.#drop(key);
  }

  #drop(key: string): void {
    const range = this.#ranges.get(key);
    if (!range) return;
    this.#ranges.delete(key);
    this.#bytes -= this.#bytesOf(range.rows);
    range.release();
  }

  #bytesOf(rows: number): number {
    return storageBytes(this.#slab.dtype, rows, this.#slab.cols);
  }
}
