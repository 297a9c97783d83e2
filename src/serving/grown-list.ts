/** A list of numbers that goes on from another one, which stays as it is: several may go on from it. */
export class GrownList {
  readonly #before: readonly number[];
  readonly #changed = new Map<number, number>();
  readonly #added: number[] = [];

  /** @param before one that went on from none, and does not change any more */
  constructor(before?: GrownList) {
    if (before && before.#before.length > 0)
      throw new Error("A list goes on from one that has all its numbers.");
    this.#before = before ? before.#added : [];
  }

  get length(): number {
    return this.#before.length + this.#added.length;
  }

  at(index: number): number {
    const own = index - this.#before.length;
    if (own >= 0) return this.#added[own] as number;
    return this.#changed.get(index) ?? (this.#before[index] as number);
  }

  set(index: number, value: number): void {
    const own = index - this.#before.length;
    if (own >= 0) this.#added[own] = value;
    else this.#changed.set(index, value);
  }

  /** @returns the new length */
  push(value: number): number {
    return this.#before.length + this.#added.push(value);
  }
}
