/** Cuts a long run into slices, with a turn of the event loop between them. */

import { TURN_MS } from "../../event-loop.ts";

/** Slices shorter than this say little about the machine's speed. */
const MEASURABLE_MS = 2;

/** Operations a millisecond beyond what any machine does: some hosts' clocks stand still while code runs. */
const MOST_RATE = 1e9;

/** Estimates from past slices how many operations fill one. */
export class SliceBudget {
  /** Operations a millisecond, as the kernels count them; at first those of code that is not optimised yet. */
  #rate = 2e6;

  get operations(): number {
    return this.#rate * TURN_MS;
  }

  /** Takes in that a slice that used its whole budget took `elapsedMs`. */
  learn(elapsedMs: number): void {
    if (elapsedMs < MEASURABLE_MS) {
      this.#rate = Math.min(this.#rate * 1.5, MOST_RATE);
      return;
    }
    // Up in small steps and down at once: a slice that is too long is worse than many short ones.
    this.#rate = Math.min(this.operations / elapsedMs, this.#rate * 1.5);
  }
}
