/**
 * What a request's pages of the KV cache hold, said so that others with the same rows find it. Keys and values of a row
 * are a function of the model, the adapters, and of all rows up to it: their ids or features, and their positions. All of
 * that is in the text that is compared, but for the model.
 */
import type { KvPool, PageContentOf, Sequence } from "../runtime/kv-pool.ts";
import { contentText, type PageScope, ROW_NUMBERS } from "./page-content.ts";
import type { RequestRows } from "./request-rows.ts";

/** A request's rows among those of all others. */
export interface RequestScope extends PageScope {
  /** What tells each of its images and videos from all others. */
  readonly media: readonly string[];
}

/** Its pages that others find. */
export interface FoundPages {
  readonly pages: readonly number[];
  /** Of each page, what `contentText` makes its text of. */
  readonly numbers: readonly Int32Array[];
  readonly scope: RequestScope;
}

export class RequestPages {
  readonly #pool: KvPool;
  readonly #sequence: Sequence;
  readonly #rows: RequestRows;
  readonly #scope: RequestScope;
  readonly #contentOf: PageContentOf = (page) => this.#content(page);
  /** Rows that were computed or found once; what is read again after a preemption is no news. */
  #furthest = 0;
  #foundTokens = 0;
  #asked = false;
  #areComplete = true;

  constructor(pool: KvPool, sequence: Sequence, rows: RequestRows, scope: RequestScope) {
    this.#pool = pool;
    this.#sequence = sequence;
    this.#rows = rows;
    this.#scope = scope;
  }

  /** Tokens of the prompt that were found. */
  get foundTokens(): number {
    return this.#foundTokens;
  }

  /** Goes on behind what is in the cache of its next rows; the last one known is left to be computed. */
  adopt(): void {
    const { promptTokens, length } = this.#rows;
    const sequence = this.#sequence;
    // What it has computed itself was not found.
    this.#furthest = Math.max(this.#furthest, sequence.length);
    if (length - sequence.length > 1) sequence.adopt(length, this.#contentOf);
    const found = Math.max(0, Math.min(sequence.length, promptTokens) - this.#furthest);
    this.#foundTokens += found;
    this.#furthest = Math.max(this.#furthest, sequence.length);
    this.#pool.countPrefix(this.#asked ? 0 : promptTokens, found);
    this.#asked = true;
  }

  /**
   * Says what full pages hold. To be called when a token was chosen behind them: it read all rows, so none of them holds
   * what is no number. Before, they may, and not only where it comes from: a kernel may give a value that a row does not
   * see the weight 0, and 0 times NaN is NaN, so that one caller's broken picture would spoil what others ask before it.
   */
  publish(): void {
    if (!this.#areComplete) return;
    // The last row known is still to be computed, and rows behind it are guesses.
    this.#sequence.publish(this.#rows.length - 1, this.#contentOf);
    this.#furthest = Math.max(this.#furthest, this.#sequence.length);
  }

  /** Rows were read without what their scope says, and are for this request alone from now on. */
  keep(): void {
    this.#areComplete = false;
  }

  /** Those that it holds now. */
  get found(): FoundPages {
    const pages = this.#sequence.published;
    return { pages, numbers: pages.map((_, index) => this.#numbers(index)), scope: this.#scope };
  }

  #content(page: number): string {
    const scope = this.#scope;
    return contentText(this.#numbers(page), scope.media, page === 0 ? scope : null);
  }

  #numbers(page: number): Int32Array {
    const { pageSize } = this.#pool.layout;
    const start = page * pageSize;
    const ids = this.#rows.ids(start, start + pageSize);
    const positions = this.#rows.positions(start, start + pageSize);
    const features = this.#rows.mediaFeatures(start, start + pageSize);
    const numbers = new Int32Array(pageSize * ROW_NUMBERS);
    for (const [row, id] of ids.entries()) {
      const at = row * ROW_NUMBERS;
      const found = features[row] ?? null;
      numbers[at] = found ? -1 - found.media : id;
      numbers[at + 1] = found?.feature ?? 0;
      for (const [axis, values] of positions.entries()) numbers[at + 2 + axis] = values[row] as number;
    }
    return numbers;
  }
}
