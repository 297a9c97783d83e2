/** How the next token is chosen among all: penalties, biases, cuts and chance. */
import { GlimtError } from "../errors.ts";
import { shown } from "../given.ts";

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
  /** Taken off the logits of tokens that are in the answer. */
  readonly presencePenalty: number;
  /** Taken off the logits of tokens of the answer, as often as they are in it. */
  readonly frequencyPenalty: number;
  /** Added to the logits of these tokens; -Infinity bans them. */
  readonly logitBias: ReadonlyMap<number, number>;
  readonly seed: number;
}

/** What chooses the largest logit, as it is. */
const PLAIN: SamplingOptions = {
  temperature: 0,
  topK: 0,
  topP: 1,
  minP: 0,
  repetitionPenalty: 1,
  presencePenalty: 0,
  frequencyPenalty: 0,
  logitBias: new Map(),
  seed: 0,
};
/** With others, logits become infinite or all alike. */
const LEAST_PENALTY = Math.fround(0.01);
const MOST_PENALTY = 100;

/** @throws OPTION_INVALID naming the option. What counts is its value as a float32, which the ops compute with. */
export function validateSampling(options: SamplingOptions): void {
  const numbers = [options.temperature, options.topP, options.repetitionPenalty];
  const [temperature, topP, penalty] = numbers.map((value) => Math.fround(numberOf(value))) as [
    number,
    number,
    number,
  ];
  const [minP, presence, frequency] = [options.minP, options.presencePenalty, options.frequencyPenalty].map(
    numberOf,
  ) as [number, number, number];
  const rules: [keyof SamplingOptions, boolean, string][] = [
    ["temperature", temperature >= 0 && Number.isFinite(temperature), "a number from 0"],
    ["topK", Number.isInteger(options.topK) && options.topK >= 0, "a whole number from 0"],
    ["topP", topP > 0 && numberOf(options.topP) <= 1, "above 0 and at most 1"],
    ["minP", minP >= 0 && minP <= 1, "from 0 to 1"],
    ["repetitionPenalty", penalty >= LEAST_PENALTY && penalty <= MOST_PENALTY, "from 0.01 to 100"],
    ["presencePenalty", presence >= -2 && presence <= 2, "from -2 to 2"],
    ["frequencyPenalty", frequency >= -2 && frequency <= 2, "from -2 to 2"],
    ["seed", Number.isInteger(options.seed) && options.seed >= 0, "a whole number from 0"],
  ];
  for (const [name, valid, expected] of rules) {
    if (!valid)
      throw new GlimtError("OPTION_INVALID", `${name} is ${shown(options[name])}, expected ${expected}.`);
  }
}

/** @throws OPTION_INVALID */
export function checkRepetitionPenalty(repetitionPenalty: number): void {
  validateSampling({ ...PLAIN, repetitionPenalty });
}

function numberOf(value: unknown): number {
  return typeof value === "number" ? value : Number.NaN;
}
