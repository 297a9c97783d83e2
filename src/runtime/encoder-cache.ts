/**
 * Features of images and videos that were encoded, by what they are features of: a copy in the slab, kept until it was not
 * asked for longest and room is needed. Requests copy what they find into a range of their own, on the device, so what is
 * kept is nobody's and can go at any time. A key may name a picture without saying its size: one of another size, or with frames of other times, is another.
 */
import type { DeviceRows, Engine } from "../backends/backend.ts";
import type { GridThw } from "../processor/grid.ts";
import { toFloat32 } from "../tensor/elements.ts";
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

/** An image or video whose features are looked for or kept. */
export interface CachedMedia {
  readonly key: string;
  readonly gridThw: GridThw;
  /** Of a video that has a name: the timestamp texts of its temporal patches. */
  readonly labels?: readonly string[] | undefined;
}

/** Features, and what is to be known of them to lay out a prompt. */
export interface CachedFeatures extends Omit<CachedMedia, "key"> {
  /** f32 [features, hiddenSize] */
  readonly embeddings: Float32Array;
}

interface Kept extends CachedMedia {
  readonly range: FeatureRange;
}

export class EncoderCache {
  readonly #engine: Engine;
  readonly #slab: FeatureSlab;
  readonly #mostBytes: number;
  /** The longest not asked for first. */
  readonly #kept = new Map<string, Kept>();
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
  has(wanted: readonly CachedMedia[]): boolean {
    this.#queries += wanted.length;
    return wanted.length > 0 && wanted.every((media) => this.#find(media) !== null);
  }

  /** Copies what is kept of it to `target`. */
  read(wanted: CachedMedia, target: DeviceRows): void {
    const found = this.#find(wanted);
    if (!found) return;
    this.#touch(found);
    this.#engine.copy(target.tensor, target.firstRow, found.range.deviceRows());
  }

  /** What is kept under a name, of whatever size; null when nothing is. Not while something runs. */
  async features(key: string): Promise<CachedFeatures | null> {
    this.#queries++;
    const found = this.#kept.get(key);
    if (!found) return null;
    this.#touch(found);
    const { tensor, firstRow, rows } = found.range.deviceRows();
    const embeddings = toFloat32(this.#slab.dtype, await this.#engine.read(tensor, firstRow, rows));
    return { embeddings, gridThw: found.gridThw, labels: found.labels };
  }

  /** Gives up what is kept under its key with another size: that is not what was sent last under this name. */
  forgetOther(media: CachedMedia): void {
    if (!this.#find(media)) this.#drop(media.key);
  }

  /** Keeps a copy of its `rows` rows, where they fit and memory has room for them. */
  keep(media: CachedMedia, rows: number, source: () => DeviceRows): void {
    const bytes = this.#bytesOf(rows);
    this.forgetOther(media);
    if (bytes > this.#mostBytes || this.#find(media)) return;
    for (const oldest of this.#kept.keys()) {
      if (this.#bytes + bytes <= this.#mostBytes) break;
      this.#drop(oldest);
    }
    outOfMemory(() => {
      const range = this.#slab.take(rows);
      // Taking it may have moved the slab.
      this.#engine.copy(this.#slab.tensor, range.firstRow, source());
      this.#kept.set(media.key, { ...media, range });
      this.#bytes += bytes;
    });
  }

  #find(wanted: CachedMedia): Kept | null {
    const found = this.#kept.get(wanted.key);
    return found && shapeOf(found) === shapeOf(wanted) ? found : null;
  }

  #touch(found: Kept): void {
    this.#hits++;
    this.#kept.delete(found.key);
    this.#kept.set(found.key, found);
  }

  /** Gives all of it back. */
  trim(): void {
    for (const key of this.#kept.keys()) this.#drop(key);
  }

  #drop(key: string): void {
    const found = this.#kept.get(key);
    if (!found) return;
    this.#kept.delete(key);
    this.#bytes -= this.#bytesOf(found.range.rows);
    found.range.release();
  }

  #bytesOf(rows: number): number {
    return storageBytes(this.#slab.dtype, rows, this.#slab.cols);
  }
}

function shapeOf({ gridThw, labels = [] }: CachedMedia): string {
  return JSON.stringify([gridThw, labels]);
}
