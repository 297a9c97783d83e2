/** How fast bytes come, over the last seconds. */

const WINDOW_MS = 5000;
/** Before it a rate says little. */
const FIRST_MS = 500;

export class Rate {
  readonly #samples: { readonly time: number; readonly bytes: number }[] = [];

  /** `bytes` are there by now. @returns bytes a second; null before there is anything to go by */
  add(bytes: number, time = performance.now()): number | null {
    this.#samples.push({ time, bytes });
    while (this.#samples.length > 2 && (this.#samples[1]?.time ?? time) < time - WINDOW_MS) {
      this.#samples.shift();
    }
    const first = this.#samples[0] ?? { time, bytes };
    const took = time - first.time;
    return took < FIRST_MS ? null : (1000 * (bytes - first.bytes)) / took;
  }
}
