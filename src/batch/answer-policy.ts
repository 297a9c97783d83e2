/** How requests of a batch are answered, as its options say. */
import { GlimtError } from "../errors.ts";
import { shown } from "../given.ts";
import { type Sources, sourceRule } from "../media/sources/source-rule.ts";
import type { AskedPolicy } from "../protocols/asked.ts";
import type { ServedModel } from "../protocols/served-model.ts";

export interface AnswerOptions {
  /** What requests call the model (default "glimt"); they may name an adapter, or nothing. */
  readonly name?: string | undefined;
  /** How text of messages that spells control tokens is read: as text (default), or as these tokens ("parse"). */
  readonly specialTokensInText?: "parse" | "text" | undefined;
  /** Take what a request leaves out from the checkpoint's generation_config.json, as servers do (default true). */
  readonly checkpointSampling?: boolean | undefined;
  /** Most tokens of an answer; default: what the context has room for. */
  readonly maxTokens?: number | undefined;
}

export const ANSWER_OPTION_NAMES: readonly (keyof AnswerOptions)[] = [
  "name",
  "specialTokensInText",
  "checkpointSampling",
  "maxTokens",
];
export const ANSWER_OPTION_KINDS = { name: "string", checkpointSampling: "boolean" } as const;

export interface AnswerPolicy {
  readonly name: string;
  /** What decides about answers, beside the requests, as text. */
  readonly asked: string;
  of(model: ServedModel): AskedPolicy;
}

/** @throws OPTION_INVALID */
export function answerPolicy(options: AnswerOptions, sources: Sources): AnswerPolicy {
  const { name = "glimt", specialTokensInText = "text", checkpointSampling = true, maxTokens } = options;
  // Throws what is wrong with it now, and not with each request.
  sourceRule(sources);
  if (specialTokensInText !== "text" && specialTokensInText !== "parse") {
    throw new GlimtError(
      "OPTION_INVALID",
      `specialTokensInText is ${shown(specialTokensInText)}, expected "text" or "parse".`,
    );
  }
  checkCount("maxTokens", maxTokens);
  return {
    name,
    asked: JSON.stringify({ name, specialTokensInText, checkpointSampling, maxTokens }),
    of: ({ config }) => ({
      maxTokens: maxTokens ?? config.text.maxPositionEmbeddings,
      checkpointSampling,
      specialTokensInText,
      sources,
      speculation: "off",
    }),
  };
}

/** @throws OPTION_INVALID */
export function checkCount(option: string, value: number | undefined): void {
  if (value === undefined || (Number.isSafeInteger(value) && value >= 1)) return;
  throw new GlimtError("OPTION_INVALID", `${option} is ${shown(value)}, expected a whole number from 1.`);
}
