/** A prompt that is answered with given tokens: the logits of each step, by the way that a request goes. */

import { throwIfAborted } from "../errors.ts";
import type { PromptInputs } from "../prompt/prompt-inputs.ts";
import { decoderPrompt } from "../prompt/prompt-inputs.ts";
import { answerOf } from "../runtime/decoder.ts";
import { resolveGeneration } from "../serving/generation-options.ts";
import type { ModelCore } from "../serving/model-core.ts";
import { GenerationRequest } from "../serving/request.ts";

export interface ForcedOptions {
  readonly signal?: AbortSignal | undefined;
  /** After each step. */
  readonly onStep?: ((step: number) => void) | undefined;
}

/**
 * Logits [vocabSize] behind the prompt and behind each of `tokens` but the last, f32.
 *
 * @throws OUT_OF_MEMORY, CONTEXT_OVERFLOW, ABORTED, DISPOSED
 */
export async function forcedLogits(
  core: ModelCore,
  prompt: PromptInputs,
  tokens: readonly number[],
  { signal, onStep }: ForcedOptions = {},
): Promise<Float32Array[]> {
  const { parts } = core;
  const options = { maxTokens: tokens.length, temperature: 0, repetitionPenalty: 1, seed: 0 };
  const resolved = resolveGeneration(options, parts.generation, {
    ...parts.config.text,
    tokenizer: parts.tokenizer,
  });
  const request = new GenerationRequest(parts, decoderPrompt(prompt, parts.config), resolved);
  const stages = await core.adapters.acquire(undefined);
  const logits: Float32Array[] = [];
  try {
    const items = request.takeVisionItems();
    const range =
      items.length === 0 ? null : await core.runWithMemory(() => stages.encoder.encode(items, { signal }));
    // The judge prunes nothing.
    request.takeFeatures(range && { range, kept: [] });
    while (logits.length < tokens.length) {
      const slice = request.nextSlice(parts.prefillChunk);
      const isLast = slice.sampling !== undefined;
      const step = { ...slice, wantsLogits: isLast };
      const answer = await core.runWithMemory(async () =>
        answerOf((await stages.decoder.forward([step], { signal }))[0]),
      );
      throwIfAborted(signal);
      if (!isLast) {
        request.accept(answer);
        continue;
      }
      request.accept({ ...answer, tokens: [tokens[logits.length] as number] });
      logits.push(answer.logits[0] as Float32Array);
      onStep?.(logits.length);
    }
    return logits;
  } finally {
    if (!core.disposed) request.release();
    await stages.release();
  }
}
