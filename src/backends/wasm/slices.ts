/** Cuts a long run into slices, with a turn of the event loop between them. */

/** Wanted length of a slice: short enough for a smooth page, long enough that the turns cost nothing. */
const SLICE_MS = 20;
/** Slices shorter than this say little about the machine's speed. */
const MEASURABLE_MS = 2;

/** Estimates from past slices how many operations fill one. */
export class SliceBudget {
  /** Operations a millisecond, as the kernels count them; at first those of code that is not optimised yet. */
  #rate = 2e6;

  get operations(): number {
    return this.#rate * SLICE_MS;
  }

  /** Takes in that a slice that used its whole budget took `elapsedMs`. */
  learn(elapsedMs: number): void {
    if (elapsedMs < MEASURABLE_MS) {
      this.#rate *= 1.5;
      return;
    }
    // Up in small steps and down at once: a slice that is too long is worse than many short ones.
    this.#rate = Math.min(this.operations / elapsedMs, this.#rate * 1.5);
  }
}

/** Resolves in a later task, after timers, input and network events had their chance. */
export function nextTask(): Promise<void> {
  const { setImmediate } = globalThis as { setImmediate?: (callback: () => void) => unknown };
  return new Promise((resolve) => {
    if (setImmediate) {
      setImmediate(resolve);
    } else if (typeof MessageChannel === "undefined") {
      setTimeout(resolve);
    } else {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => {
        port1.close();
        resolve();
      };
      port2.postMessage(null);
    }
  });
}
