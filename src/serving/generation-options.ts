/** What a caller may say about a generation, checked and completed from the checkpoint. */

import type { GenerationDefaults } from "../config/types.ts";
import { GlimtError } from "../errors.ts";
import type { GenerateProgress } from "../prompt/progress.ts";
import type { AdapterChoice } from "./adapter-options.ts";
import { type SamplingOptions, validateSampling } from "./sampler.ts";

export interface GenerateOptions {
  /** At most this many new tokens; fewer when the context is full. Default 2048. */
  readonly maxTokens?: number | undefined;
  /** 0, the default, always takes the most probable token. */
  readonly temperature?: number | undefined;
  readonly topK?: number | undefined;
  readonly topP?: number | undefined;
  readonly minP?: number | undefined;
  /** Default: the checkpoint's, which holds for greedy decoding too, or 1 (off). */
  readonly repetitionPenalty?: number | undefined;
  /** Same seed, same text. Drawn at random when absent; the result reports it. */
  readonly seed?: number | undefined;
  /** Take what is not given here from the checkpoint's generation_config.json, which usually samples. Default false. */
  readonly checkpointSampling?: boolean | undefined;
  /** Strings that end the text; they are not part of it. */
  readonly stop?: string | readonly string[] | undefined;
  /** Adapters to answer with, by name; default: none but those merged into the weights. */
  readonly adapters?: readonly AdapterChoice[] | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: GenerateProgress) => void) | undefined;
}

export const DEFAULT_MAX_TOKENS = 2048;

export const GENERATE_OPTION_NAMES: readonly (keyof GenerateOptions)[] = [
  "maxTokens",
  "temperature",
  "topK",
  "topP",
  "minP",
  "repetitionPenalty",
  "seed",
  "checkpointSampling",
  "stop",
  "adapters",
  "signal",
  "onProgress",
];

export interface ResolvedGeneration {
  readonly maxTokens: number;
  readonly sampling: SamplingOptions;
  readonly stop: readonly string[];
}

/** @throws OPTION_INVALID naming the option, what it is and what is expected. */
export function resolveGeneration(
  options: GenerateOptions,
  defaults: GenerationDefaults,
): ResolvedGeneration {
  const maxTokens = options.maxTokens ?? DEFAULT_MAX_TOKENS;
  if (!Number.isInteger(maxTokens) || maxTokens < 1) {
    throw new GlimtError("OPTION_INVALID", `maxTokens is ${maxTokens}, expected a whole number from 1.`);
  }
  const sampled = options.checkpointSampling === true && defaults.doSample;
  const sampling: SamplingOptions = {
    temperature: options.temperature ?? (sampled ? (defaults.temperature ?? 1) : 0),
    topK: options.topK ?? (sampled ? (defaults.topK ?? 0) : 0),
    topP: options.topP ?? (sampled ? (defaults.topP ?? 1) : 1),
    minP: options.minP ?? 0,
    // Hugging Face applies it to greedy decoding too.
    repetitionPenalty: options.repetitionPenalty ?? defaults.repetitionPenalty ?? 1,
    seed: options.seed ?? Math.floor(Math.random() * 2 ** 32),
  };
  validateSampling(sampling);
  const stop = typeof options.stop === "string" ? [options.stop] : (options.stop ?? []);
  if (!Array.isArray(stop) || !stop.every((text) => typeof text === "string" && text.length > 0)) {
    throw new GlimtError("OPTION_INVALID", "stop must be one or more strings that are not empty.");
  }
  return { maxTokens, sampling, stop };
}
