/** What requests are held against, known before a device is: whether a model could answer them, but for its memory. */
import type { GenerationDefaults, ModelConfig } from "../config/types.ts";
import type { CompiledGrammar, CompiledGrammars } from "../grammar/compiled-grammars.ts";
import type { ToolCallFormat } from "../grammar/tool-calls.ts";
import { promptSize } from "../prompt/context-overflow.ts";
import { offeredTools } from "../prompt/offered-tools.ts";
import type { DecoderPrompt } from "../prompt/prompt-inputs.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import {
  checkAttention,
  type GenerateOptions,
  type ResolvedGeneration,
  resolveGeneration,
} from "./generation-options.ts";
import { resolveSpeculation } from "./speculation.ts";
import { answerForm } from "./tool-choice.ts";

export interface AnswerContext {
  readonly config: ModelConfig;
  readonly tokenizer: Tokenizer;
  readonly generation: GenerationDefaults;
  readonly grammars: CompiledGrammars;
  /** The share of each video's tokens that is left out. */
  readonly videoPruning: number;
  readonly hasMtp: boolean;
  /** Whether its programs tell what rows attend to. */
  readonly tellsAttention: boolean;
  /** How the checkpoint's template writes calls. @throws OPTION_INVALID when it writes none */
  toolCallFormat(): ToolCallFormat;
}

/** What answers to a prompt are to be of; null when they may be anything. @throws OPTION_INVALID, TIMED_OUT, ABORTED */
export async function answersGrammar(
  { structured, toolChoice, tokens }: ResolvedGeneration,
  { toolSchemas = [] }: Pick<DecoderPrompt, "toolSchemas">,
  { grammars, toolCallFormat }: Pick<AnswerContext, "grammars" | "toolCallFormat">,
  signal: AbortSignal | undefined,
): Promise<CompiledGrammar | null> {
  const asked = answerForm(structured, toolChoice, () => offeredTools(toolSchemas), toolCallFormat);
  return asked && grammars.open(asked, tokens.endIds, signal);
}

/** @throws OPTION_INVALID for options that are wrong whatever the prompt is */
export function checkGeneration(
  options: GenerateOptions,
  { config, tokenizer, generation, hasMtp, tellsAttention }: AnswerContext,
): ResolvedGeneration {
  const resolved = resolveGeneration(options, generation, { ...config.text, tokenizer });
  resolveSpeculation(resolved.speculation, hasMtp);
  checkAttention(resolved, tellsAttention);
  return resolved;
}

/**
 * @param read the prompt: asked for when the options are right, as pictures may take long
 * @throws what a request for it would before anything is computed; grammars that it takes are kept for it
 */
export async function checkRequest(
  read: () => Promise<DecoderPrompt>,
  options: GenerateOptions,
  context: AnswerContext,
): Promise<void> {
  const { config, videoPruning } = context;
  const resolved = checkGeneration(options, context);
  if (resolved.structured)
    await answersGrammar({ ...resolved, toolChoice: null }, {}, context, options.signal);
  const prompt = await read();
  promptSize(prompt.layout, videoPruning, config.text.maxPositionEmbeddings);
  await answersGrammar(resolved, prompt, context, options.signal);
}
