/**
 * What the next token of one answer is chosen by: the options, checked; the tokens so far; and a seeded generator, which
 * gives one number a token. The choice itself is the op `sample`, at the end of the decoder's program.
 */

import { GlimtError } from "../errors.ts";
import { shown } from "../given.ts";
import type { SamplingRow } from "../runtime/sampling-rows.ts";
import { SeenTokens } from "./seen-tokens.ts";

export interface SamplingOptions {
  /** 0 chooses the largest logit. */
  readonly temperature: number;
  /** Keep the k most probable tokens, and those as probable as the last of them; 0 keeps all. */
  readonly topK: number;
  /** Keep the smallest set of most probable tokens whose probabilities reach p. */
  readonly topP: number;
  /** Drop tokens less probable than minP times the most probable one. */
  readonly minP: number;
  /** Divides positive and multiplies negative logits of tokens already in the context; 1 is off. */
  readonly repetitionPenalty: number;
  readonly seed: number;
}

/** @throws OPTION_INVALID naming the option. What counts is its value as a float32, which the op computes with. */
export function validateSampling(options: SamplingOptions): void {
  const numbers = [options.temperature, options.topP, options.repetitionPenalty];
  const [temperature, topP, penalty] = numbers.map((value) => Math.fround(numberOf(value))) as [
    number,
    number,
    number,
  ];
  const minP = numberOf(options.minP);
  const rules: [keyof SamplingOptions, boolean, string][] = [
    ["temperature", temperature >= 0 && Number.isFinite(temperature), "a number from 0"],
    ["topK", Number.isInteger(options.topK) && options.topK >= 0, "a whole number from 0"],
    ["topP", topP > 0 && numberOf(options.topP) <= 1, "above 0 and at most 1"],
    ["minP", minP >= 0 && minP <= 1, "from 0 to 1"],
    ["repetitionPenalty", penalty > 0 && Number.isFinite(penalty), "above 0"],
    ["seed", Number.isInteger(options.seed) && options.seed >= 0, "a whole number from 0"],
  ];
  for (const [name, valid, expected] of rules) {
    if (!valid)
      throw new GlimtError("OPTION_INVALID", `${name} is ${shown(options[name])}, expected ${expected}.`);
  }
}

function numberOf(value: unknown): number {
  return typeof value === "number" ? value : Number.NaN;
}

/** Use: `rows` before each step of the decoder, `accept` with each token that came of it. */
export class Sampler {
  readonly #settings: SettingsOfRow;
  readonly #topK: number;
  readonly #random: () => number;
  /** Numbers of the next tokens, as far as they were asked for: one a token, whatever is guessed. */
  readonly #draws: number[] = [];
  readonly #seen: SeenTokens;
  readonly #penalises: boolean;

  /** @param history the tokens of the prompt. @throws OPTION_INVALID */
  constructor(options: SamplingOptions, history: Iterable<number>) {
    validateSampling(options);
    this.#settings = settingsOf(options);
    // More is all of any vocabulary.
    this.#topK = Math.min(options.topK, 2 ** 31 - 1);
    this.#random = seededRandom(options.seed);
    this.#penalises = options.repetitionPenalty !== 1;
    this.#seen = new SeenTokens(this.#penalises ? history : []);
  }

  /**
   * The row of the next token, and those of the tokens behind each of `drafts`, as if they had been accepted. Asking changes
   * nothing.
   */
  rows(drafts: readonly number[] = []): SamplingRow[] {
    while (this.#draws.length <= drafts.length) this.#draws.push(this.#random());
    return Array.from({ length: drafts.length + 1 }, (_, row) => ({
      settings: this.#settings,
      choices: [this.#topK, this.#draws[row] as number],
      penalised: this.#penalises ? this.#seen.with(drafts.slice(0, row)) : this.#seen.list,
    }));
  }

  /**
   * Rows to guess the tokens by that come `first` and more behind the next one: their settings and draws, whatever the text
   * before them is. A guess that is drawn as the token will be is right more often.
   */
  guesses(first: number, count: number): SamplingRow[] {
    const rows = this.rows(new Array<number>(first + count - 1).fill(0)).slice(first);
    return rows.map(({ settings, choices }) => ({ settings, choices, penalised: [] }));
  }

  /** @throws TENSOR_INVALID when there was nothing to choose from */
  accept(token: number): void {
    if (token < 0) {
      throw new GlimtError(
        "TENSOR_INVALID",
        "The largest logit is not finite, or one is NaN: pixels or embeddings that were given hold NaN or infinity, " +
          "or an activation left the range of its type; try another dtype or backend.",
      );
    }
    this.#draws.shift();
    if (this.#penalises) this.#seen.add(token);
  }
}

type SettingsOfRow = SamplingRow["settings"];

function settingsOf({ temperature, topP, minP, repetitionPenalty }: SamplingOptions): SettingsOfRow {
  return [temperature, topP, minP, repetitionPenalty];
}

/** SplitMix32: uniform 32-bit numbers, the same on every platform for a seed. */
function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let mixed = state ^ (state >>> 16);
    mixed = Math.imul(mixed, 0x21f0aaad);
    mixed ^= mixed >>> 15;
    mixed = Math.imul(mixed, 0x735a2d97);
    return (mixed ^ (mixed >>> 15)) >>> 0;
  };
}
