/** What a request of any protocol asks of a model. */
import type { Prompt } from "../api/model.ts";
import type { Sources } from "../media/sources/source-rule.ts";
import type { ProcessOptions } from "../prompt/process-options.ts";
import type { GenerateOptions } from "../serving/generation-options.ts";

export interface Asked {
  /** Messages; or token ids, or text that is not a conversation and is still to be read into ids. */
  readonly prompt: AskedPrompt;
  readonly options: GenerateOptions & ProcessOptions;
  /** As the request names it; undefined: it names none. */
  readonly model: string | undefined;
  readonly stream: boolean;
}

export type AskedPrompt = Prompt | { readonly text: string };

/** What the host says of requests that say nothing of it, and what they may not have. */
export interface AskedPolicy {
  /** Of an answer; more is not given, whatever is asked for. */
  readonly maxTokens: number;
  /** Take what a request leaves out from the checkpoint's generation_config.json, as vLLM does. */
  readonly checkpointSampling: boolean;
  readonly specialTokensInText: NonNullable<ProcessOptions["specialTokensInText"]>;
  readonly sources: Sources;
  readonly speculation: NonNullable<GenerateOptions["speculation"]>;
}

/** The options as the model is given them: the request's within the host's policy. */
export function optionsWithin(
  { options, prompt }: Asked,
  { maxTokens, checkpointSampling, specialTokensInText, sources, speculation }: AskedPolicy,
): GenerateOptions & ProcessOptions {
  const isConversation = Array.isArray(prompt);
  return {
    checkpointSampling,
    speculation,
    ...(isConversation && { specialTokensInText, sources }),
    ...options,
    maxTokens: Math.min(options.maxTokens ?? maxTokens, maxTokens),
  };
}
