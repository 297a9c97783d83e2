/** What a caller may say about a generation, checked and completed from the checkpoint. */

import type { GenerationDefaults } from "../config/types.ts";
import { GlimtError } from "../errors.ts";
import { shown } from "../given.ts";
import type { StructuredText } from "../grammar/structured.ts";
import type { GenerateProgress } from "../prompt/progress.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import type { AdapterChoice } from "./adapter-options.ts";
import { type SamplingOptions, validateSampling } from "./sampling-options.ts";
import { SPECULATIONS, type Speculation } from "./speculation.ts";
import { readStructured, type StructuredOptions } from "./structured-options.ts";
import {
  type ResolvedTokens,
  resolveTokens,
  TOKEN_OPTION_KINDS,
  TOKEN_OPTION_NAMES,
  type TokenContext,
  type TokenOptions,
  tokenIds,
} from "./token-options.ts";
import { readToolChoice, type ToolChoice } from "./tool-choice.ts";

/** What is said about an answer: its length, what its tokens are chosen by, and how it is computed. */
export interface GenerateOptions extends TokenOptions {
  /** At most this many new tokens; fewer when the context is full. Default 2048. */
  readonly maxTokens?: number | undefined;
  /** 0, the default, always takes the most probable token. */
  readonly temperature?: number | undefined;
  /** Choose among the k most probable tokens, and those as probable as the last of them; 0, the default: among all. */
  readonly topK?: number | undefined;
  /** Choose among the fewest most probable tokens whose probabilities reach p; above 0 to 1, the default: among all. */
  readonly topP?: number | undefined;
  /** Drop tokens less probable than this times the most probable one; 0 (the default) to 1. */
  readonly minP?: number | undefined;
  /** Default: the checkpoint's, which holds for greedy decoding too, or 1 (off). */
  readonly repetitionPenalty?: number | undefined;
  /** Same seed, same text. Drawn at random when absent; the result reports it. */
  readonly seed?: number | undefined;
  /** How many answers to give, at most 64: number k as seed + k gives it alone. Default 1. */
  readonly n?: number | undefined;
  /** Take what is not given here from the checkpoint's generation_config.json, which usually samples. Default false. */
  readonly checkpointSampling?: boolean | undefined;
  /** Strings that end the text; they are not part of it. One that holds a special token's text ends it at the token. */
  readonly stop?: string | readonly string[] | undefined;
  /** Tokens that end the text beside those of the checkpoint; like those they leave no text. */
  readonly stopTokenIds?: readonly number[] | undefined;
  /**
   * Guessing tokens and reading several in one step: "mtp" by the checkpoint's layer that predicts several, "lookup" by what
   * followed the same words before in the prompt or the answer, "auto" by the layer where it is loaded. The answer stays the
   * same; only the time it takes changes. Default "off".
   */
  readonly speculation?: Speculation | undefined;
  /** Requests of a lower number are taken first, and give memory back last; a whole number, default 0. */
  readonly priority?: number | undefined;
  /**
   * What the answer is to be, behind its thinking: JSON of a schema, a match of a regular expression, one of some texts, or
   * of a grammar. It then ends where it is whole.
   */
  readonly structured?: StructuredOptions | undefined;
  /**
   * Which of the prompt's tools the answer calls, in well formed calls; default: as the model likes, and unchecked. With
   * `structured` and "auto" the answer is calls, or what `structured` says.
   */
  readonly toolChoice?: ToolChoice | undefined;
  /** Each event tells what its token was chosen by (`event.attention`), of a model loaded with `attention`. Default false. */
  readonly attention?: boolean | undefined;
  /** Adapters to answer with, by name; default: none but those merged into the weights. */
  readonly adapters?: readonly AdapterChoice[] | undefined;
  /**
   * Shares what is cached of prompts and pictures only with requests of the same salt: others can not tell from its speed
   * what was asked before. Default: it is shared by all requests without one.
   */
  readonly cacheSalt?: string | undefined;
  /** Ends the generation with ABORTED. */
  readonly signal?: AbortSignal | undefined;
  /** Told how far reading pictures, encoding them and reading the prompt are; what it throws ends the generation. */
  readonly onProgress?: ((progress: GenerateProgress) => void) | undefined;
}

export const DEFAULT_MAX_TOKENS = 2048;
/** What transformers samples from where a file that samples names no top_k. */
const TRANSFORMERS_TOP_K = 50;
/** Each of them may be an event ahead of the reader of all. */
const MOST_CHOICES = 64;

export const GENERATE_OPTION_NAMES: readonly (keyof GenerateOptions)[] = [
  "maxTokens",
  "temperature",
  "topK",
  "topP",
  "minP",
  "repetitionPenalty",
  "seed",
  "n",
  "checkpointSampling",
  "stop",
  "stopTokenIds",
  ...TOKEN_OPTION_NAMES,
  "speculation",
  "priority",
  "structured",
  "toolChoice",
  "attention",
  "adapters",
  "cacheSalt",
  "signal",
  "onProgress",
];

/** Numbers and lists have their own ranges. */
export const GENERATE_OPTION_KINDS = {
  checkpointSampling: "boolean",
  attention: "boolean",
  cacheSalt: "string",
  ...TOKEN_OPTION_KINDS,
} as const;

export interface ResolvedGeneration {
  readonly maxTokens: number;
  readonly n: number;
  readonly sampling: SamplingOptions;
  readonly stop: readonly string[];
  readonly tokens: ResolvedTokens;
  readonly speculation: Speculation;
  readonly attention: boolean;
  /** Empty: none. */
  readonly cacheSalt: string;
  readonly structured: StructuredText | null;
  readonly toolChoice: ToolChoice | null;
}

/** @throws OPTION_INVALID naming the option, what it is and what is expected. */
export function resolveGeneration(
  options: GenerateOptions,
  defaults: GenerationDefaults,
  { vocabSize, tokenizer }: Pick<TokenContext, "vocabSize" | "tokenizer">,
): ResolvedGeneration {
  const maxTokens = options.maxTokens ?? DEFAULT_MAX_TOKENS;
  checkMaxTokens(maxTokens);
  const n = options.n ?? 1;
  if (!Number.isInteger(n) || n < 1 || n > MOST_CHOICES) {
    throw new GlimtError(
      "OPTION_INVALID",
      `n is ${shown(n)}, expected a whole number of 1..${MOST_CHOICES}.`,
    );
  }
  const { priority = 0 } = options;
  if (!Number.isSafeInteger(priority)) {
    throw new GlimtError("OPTION_INVALID", `priority is ${shown(priority)}, expected a whole number.`);
  }
  const stopTokenIds = tokenIds("stopTokenIds", options.stopTokenIds ?? [], vocabSize);
  const { eosTokenIds } = defaults;
  const tokens = resolveTokens(options, { vocabSize, tokenizer, maxTokens, eosTokenIds, stopTokenIds });
  const sampled = options.checkpointSampling === true && defaults.doSample;
  const sampling: SamplingOptions = {
    temperature: options.temperature ?? (sampled ? (defaults.temperature ?? 1) : 0),
    topK: options.topK ?? (sampled ? (defaults.topK ?? TRANSFORMERS_TOP_K) : 0),
    topP: options.topP ?? (sampled ? (defaults.topP ?? 1) : 1),
    minP: options.minP ?? 0,
    // Hugging Face applies it to greedy decoding too.
    repetitionPenalty: options.repetitionPenalty ?? defaults.repetitionPenalty ?? 1,
    presencePenalty: options.presencePenalty ?? 0,
    frequencyPenalty: options.frequencyPenalty ?? 0,
    logitBias: tokens.logitBias,
    seed: options.seed ?? Math.floor(Math.random() * 2 ** 32),
  };
  validateSampling(sampling);
  if (n > 1 && !Number.isSafeInteger(sampling.seed + (n - 1))) {
    throw new GlimtError(
      "OPTION_INVALID",
      `seed is ${shown(sampling.seed)}, expected at most ${Number.MAX_SAFE_INTEGER - (n - 1)}: answer k of ${n} has seed + k.`,
    );
  }
  const stop = typeof options.stop === "string" ? [options.stop] : (options.stop ?? []);
  if (!Array.isArray(stop) || !stop.every((text) => typeof text === "string" && text.length > 0)) {
    throw new GlimtError("OPTION_INVALID", "stop must be one or more strings that are not empty.");
  }
  const speculation = options.speculation ?? "off";
  checkSpeculation(speculation);
  const { cacheSalt } = options;
  if (cacheSalt === "")
    throw new GlimtError("OPTION_INVALID", "cacheSalt is empty, expected a text, or nothing.");
  const structured = readStructured(options.structured);
  const toolChoice = readToolChoice(options.toolChoice);
  if (structured && toolChoice && toolChoice !== "none" && toolChoice !== "auto") {
    throw new GlimtError(
      "OPTION_INVALID",
      'structured and toolChoice exclude each other, but for "auto" and "none": an answer is one or the other.',
    );
  }
  const form = { structured, toolChoice };
  const { attention = false } = options;
  return {
    maxTokens,
    n,
    sampling,
    stop,
    tokens,
    speculation,
    attention,
    cacheSalt: cacheSalt ?? "",
    ...form,
  };
}

/** @throws OPTION_INVALID where a model is asked for what it can not tell */
export function checkAttention(
  { attention }: Pick<ResolvedGeneration, "attention">,
  tellsAttention: boolean,
): void {
  if (!attention || tellsAttention) return;
  throw new GlimtError(
    "OPTION_INVALID",
    "attention is true, but the model's programs do not tell it: load the model with attention: true.",
  );
}

/** @throws OPTION_INVALID */
export function checkMaxTokens(maxTokens: unknown): void {
  if (Number.isInteger(maxTokens) && (maxTokens as number) >= 1) return;
  throw new GlimtError("OPTION_INVALID", `maxTokens is ${shown(maxTokens)}, expected a whole number from 1.`);
}

/** @throws OPTION_INVALID */
export function checkSpeculation(speculation: Speculation): void {
  if (SPECULATIONS.includes(speculation)) return;
  const names = SPECULATIONS.map((name) => `"${name}"`).join(", ");
  throw new GlimtError("OPTION_INVALID", `speculation is ${shown(speculation)}, expected ${names}.`);
}

/** A checkpoint whose configuration names no token that ends an answer has that of its tokenizer. */
export function withTokenizersEnd(
  defaults: GenerationDefaults,
  { specialTokens, idOf }: Pick<Tokenizer, "specialTokens" | "idOf">,
): GenerationDefaults {
  if (defaults.eosTokenIds.length > 0) return defaults;
  const id = idOf(specialTokens.eos_token ?? "");
  return id === null ? defaults : { ...defaults, eosTokenIds: [id] };
}
