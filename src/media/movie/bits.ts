/** Numbers out of codec headers, bit by bit; past the end are zeros. */

export class Bits {
  readonly #bytes: Uint8Array;
  #at: number;

  /** @param at bit to begin with. */
  constructor(bytes: Uint8Array, at = 0) {
    this.#bytes = bytes;
    this.#at = at;
  }

  get isPastEnd(): boolean {
    return this.#at > this.#bytes.length * 8;
  }

  skip(bits: number): void {
    this.#at += bits;
  }

  /** Up to 32 bits, the highest first. */
  read(bits: number): number {
    let value = 0;
    for (let i = 0; i < bits; i++, this.#at++) {
      value = value * 2 + (((this.#bytes[this.#at >> 3] ?? 0) >> (7 - (this.#at & 7))) & 1);
    }
    return value;
  }

  /** A number whose length is told by the zeros before it (ue in H.264 and HEVC, uvlc in AV1). */
  readGolomb(): number {
    let zeros = 0;
    while (zeros < 32 && this.read(1) === 0) zeros += 1;
    return 2 ** zeros - 1 + this.read(zeros);
  }

  /** The same with a sign. */
  readSignedGolomb(): number {
    const value = this.readGolomb();
    return value % 2 === 1 ? (value + 1) / 2 : -value / 2;
  }
}
