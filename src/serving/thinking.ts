/**
 * Whether a model is thinking: `<think>` opens, `</think>` closes. A tool call closes too, since models forget to, and so
 * does a turn that begins. Text that a message has of these tokens counts in its own turn alone.
 */
import type { Tokenizer } from "../text/tokenizer.ts";

const OPENS = "<think>";
const CLOSES = "</think>";
const ALSO_CLOSE = ["<tool_call>", "<|system|>", "<|user|>", "<|assistant|>", "<|observation|>"];

/** The tokens of one tokenizer. It keeps nothing of an answer, so that tokens may be tried and taken back. */
export class ThinkingTokens {
  /** `<think>` and `</think>`, special or not; null where the tokenizer has none, and then nothing is ever open. */
  readonly open: number | null;
  readonly close: number | null;
  readonly #closing: ReadonlySet<number>;

  constructor({ idOf }: Pick<Tokenizer, "idOf">) {
    this.open = idOf(OPENS);
    this.close = idOf(CLOSES);
    this.#closing = new Set([CLOSES, ...ALSO_CLOSE].flatMap((token) => idOf(token) ?? []));
  }

  /** Whether thinking is open behind `token`, where it was `isOpen` before it. */
  isOpenAfter(token: number, isOpen: boolean): boolean {
    return token === this.open || (isOpen && !this.#closing.has(token));
  }

  /** Whether tokens end in open thinking: those of a prompt do when the template opens it for the model. */
  isOpenBehind(tokens: readonly number[]): boolean {
    const last = tokens.findLastIndex((token) => token === this.open || this.#closing.has(token));
    return last >= 0 && tokens[last] === this.open;
  }

  /** Whether tokens end in a turn whose thinking is over: those of a prompt do when the template leaves it out. */
  isClosedBehind(tokens: readonly number[]): boolean {
    const last = tokens.findLast((token) => token === this.open || this.#closing.has(token));
    return last !== undefined && last === this.close;
  }
}
