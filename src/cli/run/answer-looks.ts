/** What the tokens of an answer look at, gathered while they come, for a page. */
import {
  attentionOverMedia,
  type GenerationEvent,
  type GenerationResult,
  type ProcessedInputs,
  type Processor,
} from "../../index.ts";
import type { AnswerToken, ShownAnswer } from "../../views/answer.ts";

/** More would make the page large, and nobody looks at them all. */
const MOST_TOKENS = 48;

export class AnswerLooks {
  readonly #inputs: ProcessedInputs;
  readonly #tokenizer: Processor["tokenizer"];
  readonly #tokens = new Map<number, AnswerToken>();

  constructor(inputs: ProcessedInputs, { tokenizer }: Processor) {
    this.#inputs = inputs;
    this.#tokenizer = tokenizer;
  }

  /** Of the first answer; a token may have several events. */
  add({ choice, index, tokenId, attention }: GenerationEvent): void {
    if (choice !== 0 || index >= MOST_TOKENS || attention === undefined || this.#tokens.has(index)) return;
    const media = attentionOverMedia(this.#inputs, attention);
    this.#tokens.set(index, { bytes: this.#tokenizer.bytesOf(tokenId), media });
  }

  shown({ text, tokenIds }: GenerationResult): ShownAnswer {
    return { text, tokens: [...this.#tokens.values()], numTokens: tokenIds.length };
  }
}
