/**
 * Speculation: tokens are guessed and read in one step with the last known one. At each place the model's own token is
 * chosen, with the settings and the draw that it has without; a guess that is not this token is dropped with all behind it.
 * So what an answer says does not depend on what was guessed, only how many steps it takes.
 */
import { GlimtError } from "../errors.ts";

/** Guesses the next tokens of one answer. */
export interface Drafter {
  /** The next token of the answer. */
  push(token: number): void;
  /** At most `most` tokens that may follow those pushed. */
  drafts(most: number): readonly number[];
}

/** Who guesses: the checkpoint's MTP layer, what was said before, or nobody; "auto" is the layer where it is loaded. */
export const SPECULATIONS = ["auto", "mtp", "lookup", "off"] as const;
export type Speculation = (typeof SPECULATIONS)[number];

/** More are seldom right, and each is computed. */
export const MOST_DRAFTS = 8;

/** What was guessed, of all requests of a model. */
export class DraftCounts {
  /** Steps of answers that had guesses. */
  rounds = 0;
  /** Guesses that were read. */
  drafted = 0;
  /** Those that were right. */
  accepted = 0;
  /** Of these, by their place among the guesses of a step. */
  readonly acceptedByPlace: number[] = [];

  /** A step of an answer read so many guesses, of which the first so many were right. */
  count(drafted: number, accepted: number): void {
    if (drafted === 0) return;
    this.rounds += 1;
    this.drafted += drafted;
    this.accepted += accepted;
    for (let place = 0; place < accepted; place++) {
      this.acceptedByPlace[place] = (this.acceptedByPlace[place] ?? 0) + 1;
    }
  }
}

/** @throws OPTION_INVALID for the layer of a model that has none */
export function resolveSpeculation(asked: Speculation, hasMtp: boolean): Exclude<Speculation, "auto"> {
  if (asked === "auto") return hasMtp ? "mtp" : "off";
  if (asked === "mtp" && !hasMtp) {
    throw new GlimtError(
      "OPTION_INVALID",
      'speculation is "mtp", and the model has no MTP layer: the checkpoint has none, or it was loaded with mtp: false. Use "lookup", "auto" or "off".',
    );
  }
  return asked;
}
