/** Turns a stream of tokens into a stream of text. */
import { lossyUtf8 } from "./byte-level.ts";
import type { DecodeOptions, Tokenizer } from "./tokenizer.ts";

/**
 * A token may end inside a character: its bytes wait for the rest. All pieces joined, with the last `flush`, are
 * what `tokenizer.decode` gives for all ids.
 */
export class IncrementalDetokenizer {
  readonly #tokenizer: Pick<Tokenizer, "bytesOf" | "isSpecial">;
  readonly #skipSpecialTokens: boolean;
  readonly #decoder = lossyUtf8();

  constructor(
    tokenizer: Pick<Tokenizer, "bytesOf" | "isSpecial">,
    { skipSpecialTokens = true }: DecodeOptions = {},
  ) {
    this.#tokenizer = tokenizer;
    this.#skipSpecialTokens = skipSpecialTokens;
  }

  /** The text that became certain with this token; it may be empty. */
  push(id: number): string {
    if (this.#skipSpecialTokens && this.#tokenizer.isSpecial(id)) return "";
    return this.#decoder.decode(this.#tokenizer.bytesOf(id), { stream: true });
  }

  /** Ends the text: a character that never became whole is U+FFFD. The object can be used again. */
  flush(): string {
    return this.#decoder.decode();
  }
}
