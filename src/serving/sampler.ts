/**
 * What the next tokens of one answer are chosen by: the options, the tokens so far, and one number of a seeded generator a
 * token. The choice itself is made by the ops `adjust_logits` and `sample`, at the end of the decoder's program.
 */
import { GlimtError } from "../errors.ts";
import type { LogitChanges, SamplingRow } from "../runtime/sampling-rows.ts";
import { bannedBehind } from "./bad-words.ts";
import { BANNED, ChangeList, type LogitChange } from "./change-list.ts";
import { isAnyLeft, maskOf, masksBoth } from "./masks.ts";
import { type SamplingOptions, validateSampling } from "./sampling-options.ts";
import type { ThinkingBudget, ThinkingState } from "./thinking-budget.ts";

/** Which tokens may follow, beside what the options say: a grammar, for instance. */
export interface TokenConstraint {
  /**
   * Masks (see `LogitAdjustments`) of the next token and of the one behind each draft, if the drafts before were right;
   * null allows all. Asking changes nothing.
   */
  masks(drafts: readonly number[]): readonly (Int32Array | null)[];
  /** The answer goes on with it. */
  accept(token: number): void;
}

/** What single tokens are allowed by. */
export interface TokenRules {
  readonly vocabSize: number;
  /** Tokens of the answer before one of `endIds` may be chosen. */
  readonly minTokens?: number;
  readonly endIds?: readonly number[];
  /** Token sequences that do not occur in the answer. */
  readonly badWords?: readonly (readonly number[])[];
  /** No other tokens occur in it. */
  readonly allowed?: readonly number[] | null;
  readonly thinking?: ThinkingBudget | null;
  readonly constraint?: TokenConstraint | null;
}

export class Sampler {
  readonly #options: SamplingOptions;
  readonly #rules: TokenRules;
  readonly #topK: number;
  readonly #counts: boolean;
  readonly #history: ReadonlySet<number>;
  /** Of the tokens of the answer. */
  readonly #times = new Map<number, number>();
  readonly #tokens: number[] = [];
  readonly #changes = new ChangeList();
  readonly #allowedMask: Int32Array | null;
  #longestBadWord = 0;
  #thinking: ThinkingState | null;

  /** @param history the tokens of the prompt. @throws OPTION_INVALID */
  constructor(options: SamplingOptions, history: Iterable<number>, rules: TokenRules) {
    validateSampling(options);
    this.#options = options;
    this.#rules = rules;
    const { repetitionPenalty, presencePenalty, frequencyPenalty, logitBias } = options;
    // More is all of any vocabulary.
    this.#topK = Math.min(options.topK, 2 ** 31 - 1);
    this.#counts = repetitionPenalty !== 1 || presencePenalty !== 0 || frequencyPenalty !== 0;
    this.#history = new Set(repetitionPenalty === 1 ? [] : history);
    for (const token of new Set([...this.#history, ...logitBias.keys()])) {
      this.#changes.add(token, this.#changeOf(token, 0));
    }
    for (const { length } of rules.badWords ?? []) {
      this.#longestBadWord = Math.max(this.#longestBadWord, length);
    }
    this.#allowedMask = rules.allowed ? maskOf(rules.allowed, rules.vocabSize) : null;
    this.#thinking = rules.thinking?.start ?? null;
  }

  /**
   * The row of the next token, and of the one behind each draft, as they will be if the drafts before are what is chosen.
   * Asking changes nothing.
   */
  rows(drafts: readonly number[] = []): SamplingRow[] {
    const { thinking, constraint } = this.#rules;
    const list = this.#changes.list;
    const constrained = constraint?.masks(drafts);
    let state = this.#thinking;
    return Array.from({ length: drafts.length + 1 }, (_, index) => {
      if (index > 0 && state && thinking) state = thinking.after(drafts[index - 1] as number, state);
      const row = this.#plainRow(index);
      const forced = state && thinking ? thinking.forced(state) : null;
      // Whatever else is said of it: thinking ends.
      if (forced !== null) {
        return { ...row, adjustments: { changes: [], mask: maskOf([forced], this.#rules.vocabSize) } };
      }
      const mask = masksBoth(this.#allowedMask, constrained?.[index] ?? null);
      const changes = [list, ...this.#changesBehind(drafts, index)].filter(({ ids }) => ids.length > 0);
      return changes.length > 0 || mask ? { ...row, adjustments: { changes, mask } } : row;
    });
  }

  /**
   * Rows to guess the tokens by that come `first` and more behind the next one: their settings and draws, whatever the text
   * before them is. A guess that is drawn as the token will be is right more often.
   */
  guesses(first: number, count: number): SamplingRow[] {
    return Array.from({ length: count }, (_, index) => this.#plainRow(first + index));
  }

  /** The answer goes on with it. @throws TENSOR_INVALID, OPTION_INVALID when there was nothing to choose from */
  accept(token: number): void {
    if (token < 0) throw this.#nothingToChoose();
    this.#rules.constraint?.accept(token);
    const { thinking } = this.#rules;
    if (this.#thinking && thinking) this.#thinking = thinking.after(token, this.#thinking);
    this.#tokens.push(token);
    if (!this.#counts) return;
    const times = this.#times.get(token) ?? 0;
    this.#times.set(token, times + 1);
    const [before, now] = [this.#changeOf(token, times), this.#changeOf(token, times + 1)];
    if (before.factor !== now.factor || before.addend !== now.addend) this.#changes.add(token, now);
  }

  /** Of the token that comes `ahead` tokens behind the next one: what is not done to its logits. */
  #plainRow(ahead: number): SamplingRow {
    const { temperature, topP, minP, seed } = this.#options;
    return {
      settings: [temperature, topP, minP],
      // The likeliest is not drawn: what a run is given is then the same whatever the seed.
      choices: [this.#topK, temperature > 0 ? drawOf(seed, this.#tokens.length + ahead) : 0],
    };
  }

  /** Of a token that is `times` in the answer. OpenAI's formula, of penalties beside a bias; Hugging Face's factor. */
  #changeOf(token: number, times: number): LogitChange {
    const { repetitionPenalty, presencePenalty, frequencyPenalty, logitBias } = this.#options;
    const isSeen = times > 0 || this.#history.has(token);
    const penalty = times > 0 ? times * frequencyPenalty + presencePenalty : 0;
    return { factor: isSeen ? repetitionPenalty : 1, addend: (logitBias.get(token) ?? 0) - penalty };
  }

  /** What the first `count` drafts change, and what is banned behind them. */
  #changesBehind(drafts: readonly number[], count: number): LogitChanges[] {
    const { minTokens = 0, endIds = [], badWords = [] } = this.#rules;
    const length = this.#tokens.length + count;
    if (!this.#counts && length >= minTokens && badWords.length === 0) return [];
    const before = drafts.slice(0, count);
    const changes = new ChangeList();
    for (const token of this.#counts ? new Set(before) : []) {
      const more = before.filter((draft) => draft === token).length;
      changes.add(token, this.#changeOf(token, (this.#times.get(token) ?? 0) + more));
    }
    if (length < minTokens) for (const token of endIds) changes.add(token, BANNED);
    if (badWords.length > 0) {
      const tail = [...this.#tokens.slice(-this.#longestBadWord), ...before];
      for (const token of bannedBehind(tail, badWords)) changes.add(token, BANNED);
    }
    return [changes.list];
  }

  #nothingToChoose(): GlimtError {
    const [{ adjustments }] = this.rows() as [SamplingRow];
    if (adjustments && !isAnyLeft(adjustments, this.#rules.vocabSize)) {
      return new GlimtError(
        "OPTION_INVALID",
        `Nothing may be chosen as token ${this.#tokens.length + 1} of the answer: what allows tokens (allowedTokenIds, ` +
          "structured) and what bans them (logitBias, badWords, minTokens) leave none.",
      );
    }
    return new GlimtError(
      "TENSOR_INVALID",
      "The largest logit is not finite, or one is NaN: pixels or embeddings that were given hold NaN or infinity, " +
        "or an activation left the range of its type; try another dtype or backend.",
    );
  }
}

/** SplitMix32 at one place of its sequence: uniform 32-bit numbers, the same on every platform for a seed. */
function drawOf(seed: number, index: number): number {
  const state = ((seed >>> 0) + Math.imul(index + 1, 0x9e3779b9)) >>> 0;
  let mixed = state ^ (state >>> 16);
  mixed = Math.imul(mixed, 0x21f0aaad);
  mixed ^= mixed >>> 15;
  mixed = Math.imul(mixed, 0x735a2d97);
  return (mixed ^ (mixed >>> 15)) >>> 0;
}
