/**
 * Speculation: tokens are guessed and read in one step with the last known one. At each place the model's own token is
 * chosen, with the settings and the draw that it has without; a guess that is not this token is dropped with all behind it.
 * So what an answer says does not depend on what was guessed, only how many steps it takes.
 */
import { PromptLookup } from "./prompt-lookup.ts";

/** Guesses the next tokens of one answer. */
export interface Drafter {
  /** The next token of the answer. */
  push(token: number): void;
  /** At most `most` tokens that may follow those pushed. */
  drafts(most: number): readonly number[];
}

/** Who guesses: what was said before, or nobody. */
export const SPECULATIONS = ["lookup", "off"] as const;
export type Speculation = (typeof SPECULATIONS)[number];

/** More are seldom right, and each is computed. */
export const MOST_DRAFTS = 8;

/** @param prompt tokens before the answer */
export function drafterOf(speculation: Speculation, prompt: Iterable<number>): Drafter | null {
  return speculation === "lookup" ? new PromptLookup(prompt) : null;
}
