/**
 * The paged KV cache: one state tensor a layer, cut into pages of `pageSize` tokens that sequences take and give
 * back. A sequence's block table lists its pages in order; page ids are the same in every layer. Full pages whose content
 * was said may be in several block tables at once, and are kept when the last sequence leaves them, until they are needed.
 *
 * A pool that grows to keep them takes new pages in their place, up to a share of memory; where there is none they give way.
 */
import type { DeviceTensor, Engine } from "../backends/backend.ts";
import type { TextConfig } from "../config/types.ts";
import type { Program } from "../program/program.ts";
import type { TensorDType } from "../tensor/dtype.ts";
import { storageBytes } from "../tensor/storage.ts";
import { outOfMemory } from "./out-of-memory.ts";
import { type KnownPage, NO_CONTENT, PageBook } from "./page-book.ts";

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

/** That programs bind a layer's cache by. */
export function cacheName(layer: number): string {
  return `kv.${layer}`;
}

/** Of one page, in all layers. */
export function pageBytes({ numLayers, pageElements, dtype }: KvPoolLayout): number {
  return storageBytes(dtype, numLayers, pageElements);
}

/** What came of looking for pages by their content, since the model was loaded. */
export interface PrefixFigures {
  /** Pages whose content can be found now. */
  readonly pages: number;
  /** Pages whose content was given up for another. */
  readonly evictions: number;
  /** Tokens of prompts that were looked for. */
  readonly queriedTokens: number;
  /** Of them, those that were found. */
  readonly hitTokens: number;
}

/** Growing to at least so many times the pages that stay avoids copying the pool again and again. */
const GROWTH = 1.5;
/** Less is not worth copying it, where nothing fails without. */
const LEAST_GROWTH = 1.1;
/** Of what is free beside the weights: what a pool takes at most to keep pages that nobody holds. */
const KEPT_SHARE = 0.5;
/** The same where it can not be told what is free: two long chats of the models with the widest caches. */
const KEPT_BYTES = 2 ** 30;

export interface KvPoolOptions {
  /** Whether it grows before it takes pages that hold something. Default: only when too few are free. */
  readonly growsToKeep?: boolean | undefined;
}

export class KvPool {
  readonly layout: KvPoolLayout;
  readonly #engine: Engine;
  readonly #growsToKeep: boolean;
  readonly #book = new PageBook();
  readonly #asked = { queriedTokens: 0, hitTokens: 0 };
  #layers: DeviceTensor[] = [];
  #version = 0;
  /** Pages that trimming leaves. */
  #reserved = 0;
  /** There was no memory to keep more, and nothing was given back since. */
  #isFull = false;

  constructor(engine: Engine, layout: KvPoolLayout, { growsToKeep = false }: KvPoolOptions = {}) {
    this.#engine = engine;
    this.#growsToKeep = growsToKeep;
    this.layout = layout;
  }

  get numPages(): number {
    return this.#book.numPages;
  }

  /** Pages that no sequence holds; they may hold something that can be found. */
  get numFreePages(): number {
    return this.#book.numFree;
  }

  /** Whether the pages in use would fit a smaller pool, which trimming makes only of free pages at its end. */
  get hasHoles(): boolean {
    return this.numFreePages > 0 && this.numPages > this.#reserved;
  }

  get prefixes(): PrefixFigures {
    const { numKnown: pages, evictions } = this.#book;
    return { ...this.#asked, pages, evictions };
  }

  /** Requests asked for this many tokens' pages, and found those of so many. */
  countPrefix(queriedTokens: number, hitTokens: number): void {
    this.#asked.queriedTokens += queriedTokens;
    this.#asked.hitTokens += hitTokens;
  }

  /** Another whenever the caches are other tensors than before. */
  get version(): number {
    return this.#version;
  }

  /** The caches by the names that programs bind them with; of one program, those that it has. */
  bindings(program?: Pick<Program, "buffers">): Record<string, DeviceTensor> {
    const names = program && new Set(program.buffers.map(({ name }) => name));
    const caches = this.#layers.map((tensor, layer) => [cacheName(layer), tensor] as const);
    return Object.fromEntries(caches.filter(([name]) => names?.has(name) ?? true));
  }

  /** Has at least `count` pages from now on, ahead of need. @throws OUT_OF_MEMORY */
  reserve(count: number): void {
    this.#reserved = Math.max(this.#reserved, count);
    if (count > this.numPages) this.#grow(count - this.numPages);
  }

  /**
   * Takes `count` pages: those without content first, then new ones as far as the pool grows to keep what others hold, then
   * those that were held least recently; and grows the pool when too few are free. @throws OUT_OF_MEMORY, taking none.
   */
  take(count: number): number[] {
    const missing = count - this.#book.numBlank;
    if (missing > 0 && this.#growsToKeep) this.#growToKeep(missing);
    if (count > this.numFreePages) this.#grow(count - this.numFreePages);
    return this.#book.take(count);
  }

  /** At most `most` pages that are there and hold nothing: whoever takes them costs nobody anything. */
  takeBlank(most: number): number[] {
    return this.#book.takeBlank(most);
  }

  giveBack(pages: readonly number[]): void {
    this.#book.giveBack(pages);
  }

  /** Holds the page with this content, where there is one. */
  share(before: number, rows: string): KnownPage | null {
    const known = this.#book.find(before, rows);
    if (known) this.#book.share(known.page);
    return known;
  }

  /** Says what a full page holds. @returns the page to use in its place */
  publish(page: number, before: number, rows: string): KnownPage {
    return this.#book.publish(page, before, rows);
  }

  /**
   * Forgets what free pages hold, and gives back the memory of those behind the last one in use, as far as they were not
   * reserved.
   */
  trim(): void {
    const book = this.#book;
    book.forgetFree();
    this.#isFull = false;
    let target = this.numPages;
    while (target > this.#reserved && book.isFree(target - 1)) target--;
    if (target < this.numPages && book.numFree === this.numPages) {
      this.#release();
      this.reserve(target);
      return;
    }
    this.#shrinkTo(target);
    book.shrink(target);
  }

  /** Layers that are larger; after a growth that failed some may be. */
  #shrinkTo(target: number): void {
    for (const [layer, { rows }] of this.#layers.entries()) {
      // One that is not moved, for want of memory, has room for more than it is used for.
      if (rows > target && outOfMemory(() => this.#resize(layer, target))) break;
    }
  }

  /** By so many pages or more, where some that hold something would go otherwise: as far as it may, and as there is memory. */
  #growToKeep(missing: number): void {
    const { numPages, numBlank, numFree } = this.#book;
    if (numBlank === numFree || this.#isFull) return;
    const ahead = Math.max(numPages + missing, Math.ceil((numPages - numBlank) * GROWTH));
    const target = Math.min(ahead, this.#mostPages());
    if (target < numPages * LEAST_GROWTH || !outOfMemory(() => this.#growTo(target))) return;
    this.#isFull = true;
    this.#shrinkTo(numPages);
  }

  #mostPages(): number {
    const { freeBytes } = this.#engine;
    const aPage = pageBytes(this.layout);
    const bytes = freeBytes === undefined ? KEPT_BYTES : KEPT_SHARE * (freeBytes + this.numPages * aPage);
    return Math.floor(bytes / aPage);
  }

  /** Ahead of need where there is room for that. */
  #grow(missing: number): void {
    const needed = this.numPages + missing;
    const used = this.numPages - this.numFreePages;
    const ahead = Math.max(needed, Math.ceil(used * GROWTH));
    // Nothing to keep: release first, so that old and new pools are never held together.
    if (used === 0) this.#release();
    const error = outOfMemory(() => this.#growTo(ahead));
    if (!error) return;
    if (ahead === needed) throw error;
    this.#growTo(needed);
  }

  /** One layer after the other, so that no more than one is held twice. */
  #growTo(target: number): void {
    const { numLayers } = this.layout;
    for (let layer = 0; layer < numLayers; layer++) {
      // Left by a growth that failed at a later layer.
      if ((this.#layers[layer]?.rows ?? 0) < target) this.#resize(layer, target);
    }
    this.#book.grow(target);
  }

  #resize(layer: number, pages: number): void {
    const { dtype, pageElements } = this.layout;
    const old = this.#layers[layer];
    const resized = this.#allocate(pages, pageElements, dtype, cacheName(layer));
    if (old) {
      this.#engine.copy(resized, 0, { tensor: old, firstRow: 0, rows: Math.min(old.rows, pages) });
      this.#engine.free(old);
    }
    this.#layers[layer] = resized;
    this.#version++;
  }

  /** Without any page in use, a pool that does not fit is left empty, not half grown. */
  #allocate(rows: number, cols: number, dtype: TensorDType, name: string): DeviceTensor {
    try {
      return this.#engine.allocate(dtype, rows, cols, name);
    } catch (error) {
      if (this.numPages === 0) this.#release();
      throw error;
    }
  }

  #release(): void {
    for (const tensor of this.#layers) this.#engine.free(tensor);
    this.#layers = [];
    this.#version++;
    this.#book.shrink(0);
  }
}

/** What rows [page * pageSize, (page + 1) * pageSize) of a sequence depend on, beside the rows before them. */
export type PageContentOf = (page: number) => string;

/** One conversation's place in the pool. */
export class Sequence {
  /** Tokens whose keys and values are in the cache. */
  length = 0;
  readonly blockTable: number[] = [];
  readonly #pool: KvPool;
  /** Of its first pages, those whose content was said: nothing is written to them any more. */
  readonly #contents: number[] = [];

  constructor(pool: KvPool) {
    this.#pool = pool;
  }

  /** Tokens that its pages hold. */
  get capacity(): number {
    return this.blockTable.length * this.#pool.layout.pageSize;
  }

  /** Makes room for `count` more tokens. @throws OUT_OF_MEMORY */
  reserve(count: number): void {
    const needed = this.#pagesFor(count);
    if (needed > 0) this.blockTable.push(...this.#pool.take(needed));
  }

  /**
   * The same for guesses, which are not worth what pages hold, nor a larger pool.
   *
   * @returns for how many tokens there is room, at most `count`
   */
  reserveBlank(count: number): number {
    const needed = this.#pagesFor(count);
    if (needed > 0) this.blockTable.push(...this.#pool.takeBlank(needed));
    return Math.min(count, this.capacity - this.length);
  }

  /** More than it has. */
  #pagesFor(count: number): number {
    return Math.ceil((this.length + count) / this.#pool.layout.pageSize) - this.blockTable.length;
  }

  /** Where the cache keeps position `position`. */
  slot(position: number): number {
    const { pageSize } = this.#pool.layout;
    const page = this.blockTable[Math.floor(position / pageSize)] as number;
    return page * pageSize + (position % pageSize);
  }

  /**
   * Says what its pages hold that are full with the first `rows` rows, so that others find them. Not while a step of it
   * runs.
   */
  publish(rows: number, contentOf: PageContentOf): void {
    const full = Math.floor(Math.min(this.length, rows) / this.#pool.layout.pageSize);
    for (let page = this.#contents.length; page < full; page++) {
      const known = this.#pool.publish(this.blockTable[page] as number, this.#before, contentOf(page));
      this.blockTable[page] = known.page;
      this.#contents.push(known.content);
    }
  }

  /** Its first pages, those whose content was said. */
  get published(): readonly number[] {
    return this.blockTable.slice(0, this.#contents.length);
  }

  /**
   * Goes on behind pages that hold its next rows already. One of its `rows` rows is left to be computed. Not while a step
   * of it runs.
   */
  adopt(rows: number, contentOf: PageContentOf): void {
    const { pageSize } = this.#pool.layout;
    const most = Math.floor((rows - 1) / pageSize);
    for (let page = this.#contents.length; page < most; page++) {
      const known = this.#pool.share(this.#before, contentOf(page));
      if (!known) break;
      const own = this.blockTable[page];
      if (own !== undefined) this.#pool.giveBack([own]);
      this.blockTable[page] = known.page;
      this.#contents.push(known.content);
      this.length = (page + 1) * pageSize;
    }
  }

  /** What its next page without a name stands behind. */
  get #before(): number {
    return this.#contents.at(-1) ?? NO_CONTENT;
  }

  release(): void {
    this.#pool.giveBack(this.blockTable.splice(0).reverse());
    this.#contents.length = 0;
    this.length = 0;
  }
}
