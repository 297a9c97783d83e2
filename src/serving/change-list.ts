/** Changes of logits, in the order in which they were made. */
import type { LogitChanges } from "../runtime/sampling-rows.ts";

/** What happens to a logit l: (l > 0 ? l / factor : l * factor) + addend. */
export interface LogitChange {
  readonly factor: number;
  readonly addend: number;
}

/** Chosen by nobody. */
export const BANNED: LogitChange = { factor: 1, addend: Number.NEGATIVE_INFINITY };

export class ChangeList {
  #length = 0;
  // With room for more.
  #ids = new Int32Array(0);
  #values = new Float32Array(0);

  get length(): number {
    return this.#length;
  }

  /** Of one token the last counts. */
  add(id: number, { factor, addend }: LogitChange): void {
    if (this.#length === this.#ids.length) {
      const [ids, values] = [this.#ids, this.#values];
      const size = 2 * this.#length + 64;
      this.#ids = new Int32Array(size);
      this.#values = new Float32Array(2 * size);
      this.#ids.set(ids);
      this.#values.set(values);
    }
    this.#ids[this.#length] = id;
    this.#values[2 * this.#length] = factor;
    this.#values[2 * this.#length + 1] = addend;
    this.#length++;
  }

  /** Those of now, without a copy: each step of a long answer reads them. Later ones do not show in it. */
  get list(): LogitChanges {
    return {
      ids: this.#ids.subarray(0, this.#length),
      values: this.#values.subarray(0, 2 * this.#length),
    };
  }
}
