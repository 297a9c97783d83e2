/** How an answer is chosen, as OpenAI's and vLLM's requests say it: the same in chats, completions and responses. */
import type { GenerateOptions } from "../../serving/generation-options.ts";
import type { Fields } from "../fields.ts";

/** Fields that say nothing about an answer's text: who asks, what is kept, how it is billed, what could be faster. */
const HARMLESS = [
  "metadata",
  "user",
  "safety_identifier",
  "prompt_cache_key",
  "prompt_cache_retention",
  "service_tier",
  "prediction",
  "request_id",
  "spaces_between_special_tokens",
  "guided_decoding_backend",
];

/** What vLLM has and we have not, and what to do instead; with the values that ask for nothing. */
const REFUSED: readonly [name: string, advice: string, harmless?: readonly unknown[]][] = [
  ["include_stop_str_in_output", "Stop strings are no part of the text.", [false]],
  ["skip_special_tokens", "Special tokens are not part of the text.", [true]],
  ["truncate_prompt_tokens", "Send a prompt that fits the context."],
  ["prompt_logprobs", "Ask for logprobs of the answer.", [0]],
  ["return_token_ids", "/tokenize tells the ids of a text.", [false]],
  ["return_tokens_as_token_ids", "Tokens are told as texts and bytes.", [false]],
  ["use_beam_search", "Answers are sampled.", [false]],
  ["length_penalty", "It is of beam search.", [1]],
  ["best_of", "Ask for n answers.", [1]],
  ["logits_processors", "Use logit_bias, bad_words or structured_outputs."],
  ["kv_transfer_params", "Nothing is read on another machine."],
  ["vllm_xargs", "Nothing reads them here."],
];

/** @throws RequestError, or OPTION_INVALID of the model for numbers out of range */
export function samplingFields(fields: Fields): GenerateOptions {
  fields.pass(HARMLESS);
  for (const [name, advice, harmless] of REFUSED) fields.refuse(name, advice, harmless);
  const topK = fields.whole("top_k");
  return definedOnly({
    temperature: fields.number("temperature"),
    topP: fields.number("top_p"),
    // vLLM's spelling of all tokens.
    topK: topK === -1 ? 0 : topK,
    minP: fields.number("min_p"),
    repetitionPenalty: fields.number("repetition_penalty"),
    presencePenalty: fields.number("presence_penalty"),
    frequencyPenalty: fields.number("frequency_penalty"),
    logitBias: fields.object("logit_bias") as Record<number, number> | undefined,
    seed: seedOf(fields.whole("seed")),
    n: fields.whole("n"),
    stop: stopOf(fields),
    stopTokenIds: fields.wholes("stop_token_ids"),
    badWords: fields.strings("bad_words"),
    allowedTokenIds: fields.wholes("allowed_token_ids"),
    minTokens: fields.whole("min_tokens"),
    ignoreEos: fields.boolean("ignore_eos"),
    thinkingBudget: fields.whole("thinking_token_budget"),
    repetitionDetection: repetitionDetection(fields),
    priority: fields.whole("priority"),
    cacheSalt: fields.string("cache_salt"),
  });
}

/** The most tokens of an answer, under one of its names. @throws RequestError naming that */
export function limitOf(fields: Fields, name: string): number | undefined {
  const limit = fields.whole(name);
  if (limit !== undefined && limit < 1) throw fields.wrong(name, "a whole number from 1");
  return limit;
}

/** Without what is undefined, so that it does not stand before what others say. */
export function definedOnly<T extends object>(options: T): T {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T;
}

/** A seed of ours is a whole number from 0; OpenAI's and vLLM's may be negative. */
function seedOf(seed: number | undefined): number | undefined {
  return seed !== undefined && seed < 0 ? 2 ** 52 + (seed % 2 ** 51) : seed;
}

function stopOf(fields: Fields): string | readonly string[] | undefined {
  const value = fields.any("stop");
  return typeof value === "string" ? value || undefined : fields.strings("stop");
}

/** vLLM's names of it. */
function repetitionDetection(fields: Fields): GenerateOptions["repetitionDetection"] {
  const value = fields.any("repetition_detection");
  if (typeof value === "boolean") return value;
  const given = fields.fields("repetition_detection");
  if (!given) return undefined;
  const detection = definedOnly({
    maxPatternSize: given.whole("max_pattern_size") ?? 0,
    minPatternSize: given.whole("min_pattern_size") || undefined,
    minCount: given.whole("min_count") ?? 0,
  });
  given.end();
  return detection.maxPatternSize === 0 ? false : detection;
}
