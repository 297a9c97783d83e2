/** What an answer says: tokens become text, and what ends it is found. */
import { IncrementalDetokenizer } from "../text/detokenizer.ts";
import { StopMatcher } from "../text/stop-matcher.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import type { FinishReason } from "./generation-result.ts";
import { type RepetitionDetection, RepetitionDetector } from "./repetition.ts";

export interface AnswerEnds {
  /** Most tokens of the answer. */
  readonly limit: number;
  /** Strings that end the text; they are no part of it. */
  readonly stop: readonly string[];
  /** Tokens that end it and leave no text. */
  readonly endIds: Iterable<number>;
  /** Tokens before which nothing ends it but the limit, and whose text holds no stop string. */
  readonly minTokens?: number;
  /** Null, the default: it may repeat itself. */
  readonly repetition?: RepetitionDetection | null;
}

export class AnswerText {
  readonly #tokenizer: Tokenizer;
  readonly #detokenizer: IncrementalDetokenizer;
  readonly #stops: StopMatcher;
  readonly #endIds: ReadonlySet<number>;
  readonly #limit: number;
  readonly #minTokens: number;
  readonly #repetition: RepetitionDetector | null;
  readonly #tokenIds: number[] = [];
  #text = "";
  #finishReason: FinishReason | null = null;

  constructor(tokenizer: Tokenizer, { limit, stop, endIds, minTokens = 0, repetition = null }: AnswerEnds) {
    this.#tokenizer = tokenizer;
    this.#detokenizer = new IncrementalDetokenizer(tokenizer);
    this.#stops = new StopMatcher(stop, specialTexts(tokenizer));
    this.#endIds = new Set(endIds);
    this.#limit = limit;
    this.#minTokens = minTokens;
    this.#repetition = repetition && new RepetitionDetector(repetition);
  }

  /** Every token so far, the one that ended it included. */
  get tokenIds(): readonly number[] {
    return this.#tokenIds;
  }

  /** All that became certain so far. */
  get text(): string {
    return this.#text;
  }

  /** Null while it goes on. */
  get finishReason(): FinishReason | null {
    return this.#finishReason;
  }

  /** The stop string that ended it; null where another end did, and while it goes on. */
  get matchedStop(): string | null {
    return this.#stops.matched;
  }

  /** @returns the text that became certain with this token */
  push(token: number): string {
    this.#tokenIds.push(token);
    const text = this.#say(token);
    this.#text += text;
    return text;
  }

  #say(token: number): string {
    const mayEnd = this.#tokenIds.length > this.#minTokens;
    const ended = mayEnd && this.#endIds.has(token);
    const text = ended ? "" : this.#said(token, mayEnd);
    const isLoop = this.#repetition?.push(token) && mayEnd;
    if (ended || this.#stops.matched) this.#finishReason = "stop";
    else if (this.#tokenIds.length === this.#limit) this.#finishReason = "length";
    else if (isLoop) this.#finishReason = "repetition";
    if (!this.#finishReason || this.#stops.matched) return text;
    return text + this.#stops.push(this.#detokenizer.flush()) + this.#stops.flush();
  }

  #said(token: number, mayEnd: boolean): string {
    if (!mayEnd) return this.#detokenizer.push(token);
    const special = this.#tokenizer.isSpecial(token) ? this.#tokenizer.tokenOf(token) : null;
    return special === null
      ? this.#stops.push(this.#detokenizer.push(token))
      : this.#stops.pushSpecial(special);
  }
}

function specialTexts({ addedTokens, idOf, isSpecial }: Tokenizer): string[] {
  return addedTokens.filter((token) => isSpecial(idOf(token) as number));
}
