/**
 * Who holds which page of the KV cache, and what pages hold. Bookkeeping alone: it knows no memory. A page may be held
 * several times; one that nobody holds keeps its content, and can be found by it, until the page is taken for another.
 *
 * A content is known by all that its keys and values are a function of: the content of the page before it, and its own
 * rows. These are compared as they are, not by a hash, so that nobody can be given pages of another's prompt. The page
 * before is named by a number that no other content ever has: a page whose parent is gone is not found any more, and
 * goes in its turn.
 */

/** What stands before the first page. */
export const NO_CONTENT = 0;

/** A page and the number of what it holds. */
export interface KnownPage {
  readonly page: number;
  readonly content: number;
}

interface Content {
  readonly number: number;
  readonly key: string;
}

export class PageBook {
  /** How often each page is held. */
  readonly #holders: number[] = [];
  readonly #contents: (Content | null)[] = [];
  readonly #pageOf = new Map<string, number>();
  /** Nobody holds them, and they hold nothing that is known. */
  #blank: number[] = [];
  /** Nobody holds them, but they hold something; the least recently held first. */
  readonly #idle = new Set<number>();
  #lastContent = NO_CONTENT;
  #evictions = 0;

  get numPages(): number {
    return this.#holders.length;
  }

  /** Pages that nobody holds. */
  get numFree(): number {
    return this.#blank.length + this.#idle.size;
  }

  /** Of them, those that hold nothing that is known. */
  get numBlank(): number {
    return this.#blank.length;
  }

  /** Pages whose content can be found, held or not. */
  get numKnown(): number {
    return this.#pageOf.size;
  }

  /** Pages that were taken for another content than they held. */
  get evictions(): number {
    return this.#evictions;
  }

  isFree(page: number): boolean {
    return this.#holders[page] === 0;
  }

  /** How often a page is held. */
  holders(page: number): number {
    return this.#holders[page] as number;
  }

  /** New pages behind the others. */
  grow(numPages: number): void {
    for (let page = this.numPages; page < numPages; page++) {
      this.#holders.push(0);
      this.#contents.push(null);
      this.#blank.push(page);
    }
  }

  /** Without the pages from `numPages` on, which nobody holds. */
  shrink(numPages: number): void {
    for (let page = numPages; page < this.numPages; page++) this.#forget(page);
    this.#blank = this.#blank.filter((page) => page < numPages);
    this.#holders.length = Math.min(this.numPages, numPages);
    this.#contents.length = this.numPages;
  }

  /** Pages without content first, then those that were not held for longest. There must be as many that are free. */
  take(count: number): number[] {
    if (count > this.numFree) throw new Error(`There are ${this.numFree} free pages, not ${count}.`);
    const pages = this.#blank.splice(0, count);
    for (const page of this.#idle) {
      if (pages.length === count) break;
      this.#forget(page);
      this.#evictions++;
      pages.push(this.#blank.pop() as number);
    }
    for (const page of pages) this.#holders[page] = 1;
    return pages;
  }

  /** At most so many of the pages without content. */
  takeBlank(most: number): number[] {
    return this.take(Math.min(most, this.#blank.length));
  }

  /** Holds a page once more. */
  share(page: number): void {
    this.#idle.delete(page);
    this.#holders[page] = this.holders(page) + 1;
  }

  /** Of a sequence the last page first, so that what stands before others is kept longer. */
  giveBack(pages: readonly number[]): void {
    for (const page of pages) {
      const left = this.holders(page) - 1;
      if (!(left >= 0)) throw new Error(`Page ${page} was given back by nobody who holds it.`);
      this.#holders[page] = left;
      if (left > 0) continue;
      if (this.#contents[page]) this.#idle.add(page);
      else this.#blank.push(page);
    }
  }

  /** @param rows all that its keys and values depend on beside the content before it */
  find(before: number, rows: string): KnownPage | null {
    const page = this.#pageOf.get(keyOf(before, rows));
    return page === undefined ? null : { page, content: (this.#contents[page] as Content).number };
  }

  /**
   * Says what a page holds that is complete and will not be written any more.
   *
   * @returns the page to use: where another holds the same it is that one, which is held once more, and the page is given
   * back.
   */
  publish(page: number, before: number, rows: string): KnownPage {
    const known = this.find(before, rows);
    if (known) {
      if (known.page !== page) {
        this.share(known.page);
        this.giveBack([page]);
      }
      return known;
    }
    const content = { number: ++this.#lastContent, key: keyOf(before, rows) };
    this.#contents[page] = content;
    this.#pageOf.set(content.key, page);
    return { page, content: content.number };
  }

  /** Forgets what pages hold that nobody holds. */
  forgetFree(): void {
    for (const page of this.#idle) this.#forget(page);
  }

  #forget(page: number): void {
    const content = this.#contents[page];
    if (!content) return;
    this.#pageOf.delete(content.key);
    this.#contents[page] = null;
    if (this.#idle.delete(page)) this.#blank.push(page);
  }
}

function keyOf(before: number, rows: string): string {
  return `${before} ${rows}`;
}
