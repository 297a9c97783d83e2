/** Ends a stream of text exactly before the first stop string, however the text is cut into pieces. */
import { GlimtError } from "../errors.ts";

export class StopMatcher {
  readonly #stops: readonly string[];
  #held = "";
  #matched: string | null = null;

  /** @throws OPTION_INVALID for an empty stop string, which would match everywhere. */
  constructor(stops: readonly string[]) {
    if (stops.some((stop) => typeof stop !== "string" || stop === "")) {
      throw new GlimtError("OPTION_INVALID", "stop: expected strings that are not empty.");
    }
    this.#stops = stops;
  }

  /** The stop string that was met, or null. */
  get matched(): string | null {
    return this.#matched;
  }

  /** Text that can be shown now: what may be the beginning of a stop string is held back; after a match, nothing. */
  push(text: string): string {
    if (this.#matched !== null) return "";
    const all = this.#held + text;
    const match = firstCompleted(all, this.#stops);
    if (match) {
      this.#matched = match.stop;
      this.#held = "";
      return all.slice(0, match.start);
    }
    const shown = all.length - this.#possibleBeginning(all);
    this.#held = all.slice(shown);
    return all.slice(0, shown);
  }

  /** The text ended: what was held back was no stop string. */
  flush(): string {
    const rest = this.#held;
    this.#held = "";
    return rest;
  }

  /** Length of the longest end of `text` that begins a stop string. */
  #possibleBeginning(text: string): number {
    let longest = 0;
    for (const stop of this.#stops) {
      for (let length = Math.min(stop.length - 1, text.length); length > longest; length--) {
        if (text.endsWith(stop.slice(0, length))) longest = length;
      }
    }
    return longest;
  }
}

/** The stop string that is complete first; of several that end together, the longest. */
function firstCompleted(text: string, stops: readonly string[]): { stop: string; start: number } | null {
  let first: { stop: string; start: number } | null = null;
  for (const stop of stops) {
    const start = text.indexOf(stop);
    if (start < 0) continue;
    const end = start + stop.length;
    const firstEnd = first ? first.start + first.stop.length : Number.POSITIVE_INFINITY;
    if (end < firstEnd || (end === firstEnd && first && start < first.start)) first = { stop, start };
  }
  return first;
}
