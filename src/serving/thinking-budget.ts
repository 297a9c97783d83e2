/** Ends thinking that goes on for too long: behind so many tokens of it, `</think>` is the next one. */
import type { ThinkingTokens } from "./thinking.ts";

/** How far an answer is. */
export interface ThinkingState {
  readonly isOpen: boolean;
  /** Tokens of thinking so far; those that open and close it are none. */
  readonly used: number;
}

export class ThinkingBudget {
  readonly #tokens: ThinkingTokens;
  readonly #limit: number;
  readonly #start: ThinkingState;

  /**
   * @param limit most tokens of thinking in an answer. With 0 thinking closes where it opens.
   * @param prompt its thinking does not count, but may be open at its end
   */
  constructor(tokens: ThinkingTokens, limit: number, prompt: readonly number[]) {
    this.#tokens = tokens;
    this.#limit = limit;
    this.#start = { isOpen: tokens.isOpenBehind(prompt), used: 0 };
  }

  get start(): ThinkingState {
    return this.#start;
  }

  after(token: number, { isOpen, used }: ThinkingState): ThinkingState {
    const stays = this.#tokens.isOpenAfter(token, isOpen);
    return { isOpen: stays, used: isOpen && stays ? used + 1 : used };
  }

  /** The token that has to come next, or null. */
  forced({ isOpen, used }: ThinkingState): number | null {
    return isOpen && used >= this.#limit ? this.#tokens.close : null;
  }
}
