/** Texts that were seen, 24 bytes each: 128 bits of a hash, and where it was seen. */

const WORDS = 4;

export class KnownTexts {
  readonly #hash: (text: string) => Uint8Array;
  #words = new Uint32Array(WORDS * 1024);
  #places = new Float64Array(1024);
  #count = 0;

  /** @param hash at least 16 bytes that two texts do not share */
  constructor(hash: (text: string) => Uint8Array) {
    this.#hash = hash;
  }

  /** @returns where the text was seen before; null the first time. `place` is above 0. */
  add(text: string, place: number): number | null {
    if (2 * this.#count >= this.#places.length) this.#grow();
    const bytes = this.#hash(text);
    const words = new Uint32Array(Uint8Array.from(bytes.subarray(0, 4 * WORDS)).buffer);
    const slot = this.#slot(words);
    if (this.#places[slot] !== 0) return this.#places[slot] as number;
    this.#put(slot, words, place);
    this.#count++;
    return null;
  }

  /** Of these words, or the free one where they belong. */
  #slot(words: Uint32Array): number {
    const mask = this.#places.length - 1;
    let slot = (words[0] as number) & mask;
    while (this.#places[slot] !== 0 && !words.every((word, i) => this.#words[WORDS * slot + i] === word)) {
      slot = (slot + 1) & mask;
    }
    return slot;
  }

  #put(slot: number, words: Uint32Array, place: number): void {
    this.#words.set(words, WORDS * slot);
    this.#places[slot] = place;
  }

  #grow(): void {
    const [words, places] = [this.#words, this.#places];
    this.#words = new Uint32Array(2 * words.length);
    this.#places = new Float64Array(2 * places.length);
    for (const [slot, place] of places.entries()) {
      if (place === 0) continue;
      const moved = words.subarray(WORDS * slot, WORDS * (slot + 1));
      this.#put(this.#slot(moved), moved, place);
    }
  }
}
