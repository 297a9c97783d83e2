/** Few at a time; the others wait in the order they came. */

import { abortError, throwIfAborted } from "../errors.ts";

export class Turns {
  readonly #most: number;
  #taken = 0;
  readonly #queue: (() => void)[] = [];

  constructor(most: number) {
    this.#most = most;
  }

  /** Waits until fewer than `most` are taken, and takes one. @throws ABORTED */
  async take(signal: AbortSignal | undefined): Promise<void> {
    throwIfAborted(signal);
    if (this.#taken < this.#most) {
      this.#taken += 1;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const next = () => {
        signal?.removeEventListener("abort", leave);
        resolve();
      };
      const leave = () => {
        this.#queue.splice(this.#queue.indexOf(next), 1);
        reject(abortError(signal));
      };
      signal?.addEventListener("abort", leave, { once: true });
      this.#queue.push(next);
    });
  }

  /** The next in the queue takes over what was taken. */
  free(): void {
    const next = this.#queue.shift();
    if (next) next();
    else this.#taken -= 1;
  }
}
