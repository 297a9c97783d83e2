/** How probable tokens were, as chats tell it. */
import type { RankedToken, TokenLogprob } from "../../serving/token-logprobs.ts";

/** Least number that JSON of OpenAI's API has for the logarithm of nothing. */
const LEAST = -9999;

export function chatLogprob({ top, ...token }: TokenLogprob) {
  return { ...ranked(token), top_logprobs: top.map(ranked) };
}

export function chatLogprobs(tokens: readonly TokenLogprob[] | undefined) {
  return tokens ? { content: tokens.map(chatLogprob), refusal: null } : null;
}

export function finite(logprob: number): number {
  return Math.max(logprob, LEAST);
}

function ranked({ text, logprob }: RankedToken) {
  return { token: text, logprob: finite(logprob), bytes: Array.from(new TextEncoder().encode(text)) };
}
