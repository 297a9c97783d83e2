/**
 * The paged KV cache: one state tensor a layer, cut into pages of `pageSize` tokens that sequences take and give
 * back. A sequence's block table lists its pages in order; page ids are the same in every layer.
 */
import type { DeviceTensor, Engine } from "../backends/backend.ts";
import type { TextConfig } from "../config/types.ts";
import type { Program } from "../program/program.ts";
import type { TensorDType } from "../tensor/dtype.ts";
import { storageBytes } from "../tensor/storage.ts";
import { outOfMemory } from "./out-of-memory.ts";

export interface KvPoolLayout {
  readonly numLayers: number;
  readonly pageSize: number;
  /** Elements of one page in one layer: 2 * numKvHeads * pageSize * headDim. */
  readonly pageElements: number;
  readonly dtype: TensorDType;
}

export function kvPoolLayout(
  { numHiddenLayers, numKeyValueHeads, headDim }: TextConfig,
  pageSize: number,
  dtype: TensorDType,
  hasMtp = false,
): KvPoolLayout {
  const pageElements = 2 * numKeyValueHeads * pageSize * headDim;
  // The layer that drafts has a cache like the others: pages are of all.
  return { numLayers: numHiddenLayers + (hasMtp ? 1 : 0), pageSize, pageElements, dtype };
}

/** Of one page, in all layers. */
export function pageBytes({ numLayers, pageElements, dtype }: KvPoolLayout): number {
  return storageBytes(dtype, numLayers, pageElements);
}

/** Growing to at least so many times the pages in use avoids copying the pool again and again. */
const GROWTH = 1.5;

export class KvPool {
  readonly layout: KvPoolLayout;
  readonly #engine: Engine;
  #layers: DeviceTensor[] = [];
  #numPages = 0;
  #free: number[] = [];
  #version = 0;
  /** Pages that trimming leaves. */
  #reserved = 0;

  constructor(engine: Engine, layout: KvPoolLayout) {
    this.#engine = engine;
    this.layout = layout;
  }

  get numPages(): number {
    return this.#numPages;
  }

  get numFreePages(): number {
    return this.#free.length;
  }

  /** Another whenever the caches are other tensors than before. */
  get version(): number {
    return this.#version;
  }

  /** The caches by the names that programs bind them with; of one program, those that it has. */
  bindings(program?: Pick<Program, "buffers">): Record<string, DeviceTensor> {
    const names = program && new Set(program.buffers.map(({ name }) => name));
    const caches = this.#layers.map((tensor, layer) => [`kv.${layer}`, tensor] as const);
    return Object.fromEntries(caches.filter(([name]) => names?.has(name) ?? true));
  }

  /** Has at least `count` pages from now on, ahead of need. @throws OUT_OF_MEMORY */
  reserve(count: number): void {
    this.#reserved = Math.max(this.#reserved, count);
    if (count > this.#numPages) this.#grow(count - this.#numPages);
  }

  /** Takes `count` pages, growing the pool when too few are free. @throws OUT_OF_MEMORY, taking none. */
  take(count: number): number[] {
    if (count > this.#free.length) this.#grow(count - this.#free.length);
    return this.#free.splice(0, count);
  }

  giveBack(pages: readonly number[]): void {
    this.#free.push(...pages);
  }

  /** Gives back the memory of free pages behind the last one in use, as far as they were not reserved. */
  trim(): void {
    const free = new Set(this.#free);
    let target = this.#numPages;
    while (target > this.#reserved && free.has(target - 1)) target--;
    if (target === this.#numPages) return;
    if (free.size === this.#numPages) {
      this.#release();
      this.reserve(target);
      return;
    }
    for (const layer of this.#layers.keys()) {
      // A layer that is not moved, for want of memory, has room for more than it is used for.
      if (outOfMemory(() => this.#resize(layer, target))) break;
    }
    this.#free = this.#free.filter((page) => page < target);
    this.#numPages = target;
  }

  /** One layer after the other, so that no more than one is held twice. */
  #grow(missing: number): void {
    const { numLayers } = this.layout;
    const used = this.#numPages - this.#free.length;
    const target = Math.max(this.#numPages + missing, Math.ceil(used * GROWTH));
    // Nothing to keep: release first, so that old and new pools are never held together.
    if (used === 0) this.#release();
    for (let layer = 0; layer < numLayers; layer++) {
      // Left by a growth that failed at a later layer.
      if ((this.#layers[layer]?.rows ?? 0) < target) this.#resize(layer, target);
    }
    for (let page = this.#numPages; page < target; page++) this.#free.push(page);
    this.#numPages = target;
  }

  #resize(layer: number, pages: number): void {
    const { dtype, pageElements } = this.layout;
    const old = this.#layers[layer];
    const resized = this.#allocate(pages, pageElements, dtype);
    if (old) {
      this.#engine.copy(resized, 0, { tensor: old, firstRow: 0, rows: Math.min(old.rows, pages) });
      this.#engine.free(old);
    }
    this.#layers[layer] = resized;
    this.#version++;
  }

  /** Without any page in use, a pool that does not fit is left empty, not half grown. */
  #allocate(rows: number, cols: number, dtype: TensorDType): DeviceTensor {
    try {
      return this.#engine.allocate(dtype, rows, cols);
    } catch (error) {
      if (this.#numPages === 0) this.#release();
      throw error;
    }
  }

  #release(): void {
    for (const tensor of this.#layers) this.#engine.free(tensor);
    this.#layers = [];
    this.#version++;
    this.#numPages = 0;
    this.#free = [];
  }
}

/** One conversation's place in the pool. */
export class Sequence {
  /** Tokens whose keys and values are in the cache. */
  length = 0;
  readonly blockTable: number[] = [];
  readonly #pool: KvPool;

  constructor(pool: KvPool) {
    this.#pool = pool;
  }

  /** Tokens that its pages hold. */
  get capacity(): number {
    return this.blockTable.length * this.#pool.layout.pageSize;
  }

  /** Makes room for `count` more tokens. */
  reserve(count: number): void {
    const needed = Math.ceil((this.length + count) / this.#pool.layout.pageSize) - this.blockTable.length;
    if (needed > 0) this.blockTable.push(...this.#pool.take(needed));
  }

  /** Where the cache keeps position `position`. */
  slot(position: number): number {
    const { pageSize } = this.#pool.layout;
    const page = this.blockTable[Math.floor(position / pageSize)] as number;
    return page * pageSize + (position % pageSize);
  }

  release(): void {
    this.#pool.giveBack(this.blockTable.splice(0));
    this.length = 0;
  }
}
