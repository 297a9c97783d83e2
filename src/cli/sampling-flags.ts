/** Flags of commands that answer: how long, and what tokens are chosen by. */
import { type Command, InvalidArgumentError } from "commander";
import type { GenerateOptions } from "../index.ts";
import { collect, decimal, wholeNumber } from "./model-options.ts";

export interface SamplingFlags {
  readonly maxTokens?: number;
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly minP?: number;
  readonly repetitionPenalty?: number;
  readonly seed?: number;
  readonly checkpointSampling?: true;
  readonly stop: readonly string[];
  readonly stopToken: readonly number[];
  readonly presencePenalty?: number;
  readonly frequencyPenalty?: number;
  readonly logitBias: Readonly<Record<number, number>>;
  readonly badWord: readonly string[];
  readonly allowToken?: readonly number[];
  readonly minTokens?: number;
  readonly ignoreEos?: true;
  readonly thinkingBudget?: number;
  readonly stopRepetition?: true;
  readonly speculation?: NonNullable<GenerateOptions["speculation"]>;
  readonly cacheSalt?: string;
}

export function withSamplingOptions(command: Command): Command {
  return command
    .option("--max-tokens <n>", "most new tokens (default: 2048, or what the context leaves)", wholeNumber)
    .option("--temperature <t>", "0 takes the most probable token (default)", decimal)
    .option("--top-k <n>", "sample from the n most probable tokens", wholeNumber)
    .option("--top-p <p>", "sample from the most probable tokens that reach p", decimal)
    .option("--min-p <p>", "drop tokens below p times the most probable", decimal)
    .option("--repetition-penalty <x>", "above 1: avoid tokens already used", decimal)
    .option("--seed <n>", "same seed, same answer", wholeNumber)
    .option("--checkpoint-sampling", "sample as the checkpoint's generation_config.json says")
    .option("--stop <text>", "end at this text; may be repeated", collect, [])
    .option("--stop-token <id>", "end at this token; may be repeated", tokenId, [])
    .option("--presence-penalty <x>", "above 0: avoid tokens that the answer has", decimal)
    .option("--frequency-penalty <x>", "above 0: avoid tokens the more often the answer has them", decimal)
    .option("--logit-bias <id:bias>", "add to a token's logit, -100 bans it; may be repeated", tokenBias, {})
    .option("--bad-word <text>", "never say this; may be repeated", collect, [])
    .option("--allow-token <id>", "say no other tokens; may be repeated", tokenId)
    .option("--min-tokens <n>", "do not end before as many tokens", wholeNumber)
    .option("--ignore-eos", "go on where the model would end")
    .option("--thinking-budget <n>", "end thinking behind as many tokens", wholeNumber)
    .option("--stop-repetition", "end an answer that repeats itself as pages never do")
    .option(
      "--speculation <how>",
      "guess tokens and read several a step: mtp (the checkpoint's layer), lookup (what followed the same words), auto, off (default)",
    )
    .option("--cache-salt <text>", "share what is cached only with requests of the same salt");
}

export function samplingOptions(flags: SamplingFlags): GenerateOptions {
  const { maxTokens, temperature, topK, topP, minP, repetitionPenalty, seed, checkpointSampling } = flags;
  const { presencePenalty, frequencyPenalty, logitBias, minTokens, ignoreEos, thinkingBudget } = flags;
  const { stop, speculation, cacheSalt } = flags;
  return {
    ...{ maxTokens, temperature, topK, topP, minP, repetitionPenalty, seed, checkpointSampling },
    ...{ presencePenalty, frequencyPenalty, logitBias, minTokens, ignoreEos, thinkingBudget },
    ...{ stop, speculation, cacheSalt },
    stopTokenIds: flags.stopToken,
    badWords: flags.badWord,
    allowedTokenIds: flags.allowToken,
    repetitionDetection: flags.stopRepetition,
  };
}

function tokenBias(text: string, all: Readonly<Record<number, number>>): Record<number, number> {
  const [, id, bias] = /^(\d+):(\S+)$/.exec(text) ?? [];
  if (id === undefined || !Number.isFinite(Number(bias))) {
    throw new InvalidArgumentError("It must be a token id and a number, such as 42:-100.");
  }
  return { ...all, [wholeNumber(id)]: decimal(bias!) };
}

function tokenId(text: string, all: readonly number[] = []): number[] {
  return [...all, wholeNumber(text)];
}
