/** What an answer says: tokens become text, and what ends it is found. */
import { IncrementalDetokenizer } from "../text/detokenizer.ts";
import { StopMatcher } from "../text/stop-matcher.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import type { FinishReason } from "./generation-result.ts";

export interface AnswerEnds {
  /** Most tokens of the answer. */
  readonly limit: number;
  /** Strings that end the text; they are no part of it. */
  readonly stop: readonly string[];
  /** Tokens that end it and leave no text. */
  readonly stopTokenIds: Iterable<number>;
}

export class AnswerText {
  readonly #tokenizer: Tokenizer;
  readonly #detokenizer: IncrementalDetokenizer;
  readonly #stops: StopMatcher;
  readonly #stopTokenIds: ReadonlySet<number>;
  readonly #limit: number;
  readonly #tokenIds: number[] = [];
  #text = "";
  #finishReason: FinishReason | null = null;

  constructor(tokenizer: Tokenizer, { limit, stop, stopTokenIds }: AnswerEnds) {
    this.#tokenizer = tokenizer;
    this.#detokenizer = new IncrementalDetokenizer(tokenizer);
    this.#stops = new StopMatcher(stop, specialTexts(tokenizer));
    this.#stopTokenIds = new Set(stopTokenIds);
    this.#limit = limit;
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

  /** @returns the text that became certain with this token */
  push(token: number): string {
    this.#tokenIds.push(token);
    const text = this.#say(token);
    this.#text += text;
    return text;
  }

  #say(token: number): string {
    const ended = this.#stopTokenIds.has(token);
    const text = ended ? "" : this.#said(token);
    if (ended || this.#stops.matched) this.#finishReason = "stop";
    else if (this.#tokenIds.length === this.#limit) this.#finishReason = "length";
    if (!this.#finishReason || this.#stops.matched) return text;
    return text + this.#stops.push(this.#detokenizer.flush()) + this.#stops.flush();
  }

  #said(token: number): string {
    const special = this.#tokenizer.isSpecial(token) ? this.#tokenizer.tokenOf(token) : null;
    return special === null
      ? this.#stops.push(this.#detokenizer.push(token))
      : this.#stops.pushSpecial(special);
  }
}

function specialTexts({ addedTokens, idOf, isSpecial }: Tokenizer): string[] {
  return addedTokens.filter((token) => isSpecial(idOf(token) as number));
}
