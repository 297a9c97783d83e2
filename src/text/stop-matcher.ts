/** Ends a stream of text exactly before the first stop string, however the text is cut into pieces. */
import { GlimtError } from "../errors.ts";

interface Match {
  readonly stop: string;
  readonly start: number;
  readonly end: number;
}

/**
 * Special tokens leave no text. A stop string that holds the text of one is looked for in the text with all special
 * tokens, every other one in the text that is shown.
 */
export class StopMatcher {
  readonly #stops: readonly string[];
  readonly #stopsWithSpecials: readonly string[];
  /** Shown text that was held back. */
  #held = "";
  /** The end of the text with special tokens, and how much of `#held` stands before each of its places. */
  #full = "";
  #shownBefore: number[] = [0];
  #matched: string | null = null;

  /**
   * @param specials texts of the special tokens
   * @throws OPTION_INVALID for an empty stop string, which would match everywhere.
   */
  constructor(stops: readonly string[], specials: readonly string[] = []) {
    if (stops.some((stop) => typeof stop !== "string" || stop === "")) {
      throw new GlimtError("OPTION_INVALID", "stop: expected strings that are not empty.");
    }
    const hasSpecial = (stop: string) => specials.some((special) => stop.includes(special));
    this.#stops = stops.filter((stop) => !hasSpecial(stop));
    this.#stopsWithSpecials = stops.filter(hasSpecial);
  }

  /** The stop string that was met, or null. */
  get matched(): string | null {
    return this.#matched;
  }

  /** Text that can be shown now: what may be the beginning of a stop string is held back; after a match, nothing. */
  push(text: string): string {
    return this.#push(text, text);
  }

  /** As `push`, of a special token: it ends the text where a stop string says so, and is not shown. */
  pushSpecial(token: string): string {
    return this.#push("", token);
  }

  /** The text ended: what was held back was no stop string. */
  flush(): string {
    const rest = this.#held;
    this.#keep(this.#held.length, this.#full.length);
    return rest;
  }

  #push(shown: string, full: string): string {
    if (this.#matched !== null) return "";
    this.#held += shown;
    if (this.#stopsWithSpecials.length > 0) this.#extendFull(full, shown !== "");
    const match = this.#firstMatch();
    if (match) {
      this.#matched = match.stop;
      const text = this.#held.slice(0, match.start);
      this.#keep(this.#held.length, this.#full.length);
      return text;
    }
    const fullEnd = this.#full.length - longestBeginning(this.#full, this.#stopsWithSpecials);
    const heldEnd = this.#held.length - longestBeginning(this.#held, this.#stops);
    const end = this.#full === "" ? heldEnd : Math.min(heldEnd, this.#shownBefore[fullEnd] as number);
    const text = this.#held.slice(0, end);
    this.#keep(end, fullEnd);
    return text;
  }

  #extendFull(text: string, isShown: boolean): void {
    this.#full += text;
    const before = this.#shownBefore.at(-1) as number;
    for (let at = 1; at <= text.length; at++) this.#shownBefore.push(isShown ? before + at : before);
  }

  #firstMatch(): Match | null {
    const full = firstCompleted(this.#full, this.#stopsWithSpecials);
    const inHeld = full && {
      ...full,
      start: this.#shownBefore[full.start] as number,
      end: this.#shownBefore[full.end] as number,
    };
    return earlier(firstCompleted(this.#held, this.#stops), inHeld);
  }

  /** Forgets what lies before these places. */
  #keep(heldStart: number, fullStart: number): void {
    this.#held = this.#held.slice(heldStart);
    this.#full = this.#full.slice(fullStart);
    this.#shownBefore = this.#shownBefore.slice(fullStart).map((count) => Math.max(0, count - heldStart));
  }
}

/** Length of the longest end of `text` that begins a stop string. */
function longestBeginning(text: string, stops: readonly string[]): number {
  let longest = 0;
  for (const stop of stops) {
    for (let length = Math.min(stop.length - 1, text.length); length > longest; length--) {
      if (text.endsWith(stop.slice(0, length))) longest = length;
    }
  }
  return longest;
}

/** The stop string that is complete first; of several that end together, the longest. */
function firstCompleted(text: string, stops: readonly string[]): Match | null {
  let first: Match | null = null;
  for (const stop of stops) {
    const start = text.indexOf(stop);
    if (start >= 0) first = earlier(first, { stop, start, end: start + stop.length });
  }
  return first;
}

function earlier(a: Match | null, b: Match | null): Match | null {
  if (!a || !b) return a ?? b;
  return b.end < a.end || (b.end === a.end && b.start < a.start) ? b : a;
}
