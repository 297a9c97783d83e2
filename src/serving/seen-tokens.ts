/** Different tokens, in the order in which they came first. */
export class SeenTokens {
  readonly #known = new Set<number>();
  /** With room for more. */
  #list = new Int32Array(0);

  constructor(tokens: Iterable<number>) {
    for (const token of tokens) this.add(token);
  }

  add(token: number): void {
    const count = this.#known.size;
    if (this.#known.add(token).size === count) return;
    if (this.#list.length === count) {
      const longer = new Int32Array(2 * count + 64);
      longer.set(this.#list);
      this.#list = longer;
    }
    this.#list[count] = token;
  }

  /** As if these had been added. */
  with(tokens: readonly number[]): Int32Array {
    const more = [...new Set(tokens)].filter((token) => !this.#known.has(token));
    return more.length === 0 ? this.list : Int32Array.from([...this.list, ...more]);
  }

  /** Those of now, without a copy: each step of a long answer reads them. */
  get list(): Int32Array {
    return this.#list.subarray(0, this.#known.size);
  }
}
