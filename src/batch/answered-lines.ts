/** Which lines of the input have been answered, and what these were: each answer's id says it. */

/** Of the answer to line `number`. */
export function answerId(number: number, key: number): string {
  return `batch_req_${number}_${key.toString(16).padStart(12, "0")}`;
}

/** @returns null for what is no such id */
export function readAnswerId(id: unknown): { readonly number: number; readonly key: number } | null {
  const [, number, key] = /^batch_req_([1-9]\d{0,14})_([\da-f]{12})$/.exec(String(id)) ?? [];
  return number === undefined ? null : { number: Number(number), key: Number.parseInt(key as string, 16) };
}

/** Eight bytes a line: a file may have millions. */
export class AnsweredLines {
  readonly #most: number;
  /** By line: its key and 1; 0 for one without an answer. */
  #keys = new Float64Array(1024);
  #count = 0;

  /** @param most lines that the input may have */
  constructor(most: number) {
    this.#most = most;
  }

  get count(): number {
    return this.#count;
  }

  /** @returns false when it was there, or no line has such a number */
  add(number: number, key: number): boolean {
    if (number > this.#most) return false;
    if (number >= this.#keys.length) {
      const keys = new Float64Array(Math.max(number + 1, 2 * this.#keys.length));
      keys.set(this.#keys);
      this.#keys = keys;
    }
    if (this.#keys[number] !== 0) return false;
    this.#keys[number] = key + 1;
    this.#count++;
    return true;
  }

  has(number: number): boolean {
    return (this.#keys[number] ?? 0) !== 0;
  }

  /** The key of the line that was answered; null for a line that was not. */
  key(number: number): number | null {
    return this.has(number) ? (this.#keys[number] as number) - 1 : null;
  }
}
