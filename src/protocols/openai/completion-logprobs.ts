/** How probable tokens were, as /v1/completions tells it: lists side by side, one entry a token. */
import type { TokenLogprob } from "../../serving/token-logprobs.ts";
import { finite } from "./chat-logprobs.ts";

/** @param offset letters of the text before the first of the tokens */
export function completionLogprobs(tokens: readonly TokenLogprob[], offset: number) {
  let at = offset;
  return {
    text_offset: tokens.map(({ text }) => {
      const start = at;
      at += text.length;
      return start;
    }),
    tokens: tokens.map(({ text }) => text),
    token_logprobs: tokens.map(({ logprob }) => finite(logprob)),
    top_logprobs: tokens.map(({ top }) =>
      Object.fromEntries(top.map(({ text, logprob }) => [text, finite(logprob)])),
    ),
  };
}
