/** How callers treat an answer. */
import { setTimeout as sleep } from "node:timers/promises";
import type { GenerationResult, Model } from "../../src/index.ts";
import type { Draw, Question } from "./requests.ts";

/** What of an answer must be as it is alone. */
export function facts({ choices, topLogits }: GenerationResult): string {
  const said = choices.map(({ text, tokenIds, finishReason, logprobs }) => ({
    text,
    tokenIds,
    finishReason,
    logprobs,
  }));
  return JSON.stringify({ said, topLogits });
}

type End = (
  model: Model,
  asked: Pick<Question, "messages" | "options">,
  draw: Draw,
) => Promise<string | null>;

/** Each gives the facts of an answer that came to its end, else null. */
export const endedBy = {
  complete: async (model, { messages, options }) => facts(await model.complete(messages, options)),
  async read(model, { messages, options }, draw) {
    const pieces = model.generate(messages, options);
    let text = "";
    for (;;) {
      const next = await pieces.next();
      if (next.done) {
        if (next.value.text !== text) throw new Error("The pieces are not the text.");
        return facts(next.value);
      }
      if (next.value.choice === 0) text += next.value.text;
      // A slow reader.
      if (draw(20) === 0) await sleep(draw(5));
    }
  },
  async abort(model, { messages, options }, draw) {
    const stop = new AbortController();
    const timer = setTimeout(() => stop.abort(), draw(60));
    try {
      return facts(await model.complete(messages, { ...options, signal: stop.signal }));
    } finally {
      clearTimeout(timer);
    }
  },
  async leave(model, { messages, options }, draw) {
    let left = draw(6);
    for await (const _ of model.generate(messages, options)) if (left-- === 0) break;
    return null;
  },
  async forget(model, { messages, options }) {
    await model.generate(messages, options).next();
    return null;
  },
  async abandon(model, { messages, options }, draw) {
    const pieces = model.generate(messages, options);
    // Nobody waits for it.
    pieces.next().catch(() => undefined);
    await sleep(draw(10));
    await pieces.return(undefined as never).catch(() => undefined);
    return null;
  },
} satisfies Record<string, End>;

export const ENDINGS = Object.keys(endedBy) as (keyof typeof endedBy)[];
