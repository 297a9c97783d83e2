/** How probable tokens of an answer were, by the model's own logits: before penalties, masks and temperature. */
import type { Tokenizer } from "../text/tokenizer.ts";
import { topLogits } from "./top-logits.ts";

/** A token, and how probable it was. */
export interface RankedToken {
  /** The token. */
  readonly tokenId: number;
  /** The token by itself; of a part of a character U+FFFD. */
  readonly text: string;
  /** Natural logarithm of its probability. */
  readonly logprob: number;
}

/** The token that was chosen, and those that were most probable. */
export interface TokenLogprob extends RankedToken {
  /** The most probable tokens in its place, the first of them first; it is not always among them. */
  readonly top: readonly RankedToken[];
}

/**
 * Log-softmax in float64: l - largest - log(sum of e^(l - largest)).
 *
 * @param logits [vocabSize]
 * @param count of the most probable tokens
 */
export function tokenLogprob(
  logits: Float32Array,
  token: number,
  count: number,
  tokenizer: Pick<Tokenizer, "decode">,
): TokenLogprob {
  const largest = logits.reduce((most, logit) => Math.max(most, logit), Number.NEGATIVE_INFINITY);
  const sum = logits.reduce((total, logit) => total + Math.exp(logit - largest), 0);
  const ranked = (tokenId: number): RankedToken => ({
    tokenId,
    text: tokenizer.decode([tokenId], { skipSpecialTokens: false }),
    logprob: (logits[tokenId] as number) - largest - Math.log(sum),
  });
  return { ...ranked(token), top: topLogits(logits, count).map(([tokenId]) => ranked(tokenId)) };
}
