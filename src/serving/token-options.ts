/** What a caller may say about single tokens of an answer, checked. */
import { GlimtError } from "../errors.ts";
import { readOnce, readOptions, shown } from "../given.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { badWordTokens } from "./bad-words.ts";
import { LONGEST_PATTERN, type RepetitionDetection, USUAL_DETECTION } from "./repetition.ts";
import { ThinkingTokens } from "./thinking.ts";

/** What is said about single tokens of an answer. */
export interface TokenOptions {
  /** Taken off the logits of tokens that the answer has; -2 to 2, default 0. */
  readonly presencePenalty?: number | undefined;
  /** Taken off the logits of tokens of the answer, as often as it has them; -2 to 2, default 0. */
  readonly frequencyPenalty?: number | undefined;
  /** By token id: added to its logit, -100 to 100. -100 bans the token. */
  readonly logitBias?: Readonly<Record<number, number>> | ReadonlyMap<number, number> | undefined;
  /** Texts that the answer does not have, in the tokens that they usually are, with and without a blank before. */
  readonly badWords?: readonly string[] | undefined;
  /** The answer has no other tokens, those that end it included. */
  readonly allowedTokenIds?: readonly number[] | undefined;
  /** Nothing ends the answer before it has as many tokens; default 0. */
  readonly minTokens?: number | undefined;
  /** The checkpoint's own ends do not end the answer: it goes on until maxTokens, or another end. Default false. */
  readonly ignoreEos?: boolean | undefined;
  /** Tokens of thinking behind which `</think>` comes next; 0 closes it where it opens. Default: no limit. */
  readonly thinkingBudget?: number | undefined;
  /** Ends an answer that repeats itself, with finishReason "repetition". `true`: as pages never do. Default false. */
  readonly repetitionDetection?: boolean | RepetitionDetection | undefined;
  /** How probable each token was is told with it. Default false. */
  readonly logprobs?: boolean | undefined;
  /** As many of the most probable tokens with each; 0 (the default) to 20. Needs `logprobs`. */
  readonly topLogprobs?: number | undefined;
}

export const TOKEN_OPTION_NAMES: readonly (keyof TokenOptions)[] = [
  "presencePenalty",
  "frequencyPenalty",
  "logitBias",
  "badWords",
  "allowedTokenIds",
  "minTokens",
  "ignoreEos",
  "thinkingBudget",
  "repetitionDetection",
  "logprobs",
  "topLogprobs",
];

export const TOKEN_OPTION_KINDS = { ignoreEos: "boolean", logprobs: "boolean" } as const;

export interface ResolvedTokens {
  readonly logitBias: ReadonlyMap<number, number>;
  /** Token sequences. */
  readonly badWords: readonly (readonly number[])[];
  /** Null: all. */
  readonly allowed: readonly number[] | null;
  readonly minTokens: number;
  /** Tokens that end the answer and leave no text. */
  readonly endIds: readonly number[];
  /** Null: no limit. */
  readonly thinkingBudget: number | null;
  readonly repetition: RepetitionDetection | null;
  /** Most probable tokens told with each; null: not even its own probability is. */
  readonly topLogprobs: number | null;
}

/** What the options are held against. */
export interface TokenContext {
  readonly vocabSize: number;
  readonly tokenizer: Pick<Tokenizer, "encode" | "idOf">;
  readonly maxTokens: number;
  readonly eosTokenIds: readonly number[];
  readonly stopTokenIds: readonly number[];
}

const MOST_TOP_LOGPROBS = 20;
const MOST_BIAS = 100;

/** @throws OPTION_INVALID naming the option, what it is and what is expected, also where two leave nothing. */
export function resolveTokens(options: TokenOptions, context: TokenContext): ResolvedTokens {
  const { vocabSize, tokenizer, maxTokens, eosTokenIds, stopTokenIds } = context;
  const minTokens = wholeNumber("minTokens", options.minTokens ?? 0);
  if (minTokens > maxTokens) {
    throw refused(`minTokens is ${minTokens}, more than maxTokens, which is ${maxTokens}.`);
  }
  const topLogprobs = wholeNumber("topLogprobs", options.topLogprobs ?? 0, MOST_TOP_LOGPROBS);
  if (topLogprobs > 0 && !options.logprobs) throw refused("topLogprobs needs logprobs: true.");
  const resolved: ResolvedTokens = {
    logitBias: logitBias(options.logitBias, vocabSize),
    badWords: badWordTokens(texts("badWords", options.badWords), tokenizer),
    allowed:
      options.allowedTokenIds === undefined
        ? null
        : tokenIds("allowedTokenIds", options.allowedTokenIds, vocabSize),
    minTokens,
    endIds: [...(options.ignoreEos ? [] : eosTokenIds), ...stopTokenIds],
    thinkingBudget: thinkingBudget(options.thinkingBudget, tokenizer),
    repetition: repetitionDetection(options.repetitionDetection),
    topLogprobs: options.logprobs ? topLogprobs : null,
  };
  requireAnyLeft(resolved);
  return resolved;
}

/** What may be said as the first token, and so always. */
function requireAnyLeft({ allowed, logitBias: biases, badWords, minTokens, endIds }: ResolvedTokens): void {
  if (!allowed) return;
  const banned: readonly [option: string, tokens: ReadonlySet<number>][] = [
    ["logitBias", new Set([...biases].flatMap(([id, bias]) => (Number.isFinite(bias) ? [] : id)))],
    ["badWords", new Set(badWords.flatMap((word) => (word.length === 1 ? word : [])))],
    ["minTokens", new Set(minTokens > 0 ? endIds : [])],
  ];
  if (allowed.some((id) => banned.every(([, tokens]) => !tokens.has(id)))) return;
  const names = banned.filter(([, tokens]) => allowed.some((id) => tokens.has(id))).map(([option]) => option);
  throw refused(
    names.length === 0
      ? "allowedTokenIds is empty: no token would be left to choose."
      : `allowedTokenIds holds only tokens that are banned by ${names.join(" and ")}: none is left to choose.`,
  );
}

function logitBias(given: TokenOptions["logitBias"], vocabSize: number): ReadonlyMap<number, number> {
  if (given === undefined) return new Map();
  const expected = `expected an object or a Map of token ids, 0..${vocabSize - 1}, and numbers of -100 to 100`;
  if (typeof given !== "object" || given === null || Array.isArray(given)) {
    throw refused(`logitBias is ${shown(given)}, ${expected}.`);
  }
  const entries: [unknown, unknown][] = readOnce(
    "logitBias",
    () => (given instanceof Map ? [...given] : Object.entries(given)),
    "OPTION_INVALID",
  );
  const biases = new Map<number, number>();
  for (const [key, bias] of entries) {
    // Keys of objects are texts.
    const id = typeof key === "string" && /^\d+$/.test(key) ? Number(key) : key;
    if (!isToken(id, vocabSize)) throw refused(`logitBias has the key ${shown(key)}, ${expected}.`);
    if (typeof bias !== "number" || !(Math.abs(bias) <= MOST_BIAS)) {
      throw refused(`logitBias of token ${id} is ${shown(bias)}, ${expected}.`);
    }
    biases.set(id, bias === -MOST_BIAS ? Number.NEGATIVE_INFINITY : bias);
  }
  return biases;
}

function thinkingBudget(given: unknown, tokenizer: Pick<Tokenizer, "idOf">): number | null {
  if (given === undefined) return null;
  const budget = wholeNumber("thinkingBudget", given);
  const { open, close } = new ThinkingTokens(tokenizer);
  if (open !== null && close !== null) return budget;
  throw refused("thinkingBudget has no effect: this tokenizer has no tokens <think> and </think>.");
}

const DETECTION_FIELDS = ["minPatternSize", "maxPatternSize", "minCount", "minLength"] as const;

function repetitionDetection(given: unknown): RepetitionDetection | null {
  if (given === undefined || given === false) return null;
  if (given === true) return USUAL_DETECTION;
  if (typeof given !== "object" || given === null || Array.isArray(given)) {
    throw refused(
      `repetitionDetection is ${shown(given)}, expected true, false or { minPatternSize, maxPatternSize, minCount, minLength }.`,
    );
  }
  const read = readOptions(given as Record<string, unknown>, "repetitionDetection", DETECTION_FIELDS);
  const name = (field: string) => `repetitionDetection.${field}`;
  const maxPatternSize = wholeNumber(name("maxPatternSize"), read.maxPatternSize, LONGEST_PATTERN, 1);
  return {
    maxPatternSize,
    minPatternSize: wholeNumber(name("minPatternSize"), read.minPatternSize ?? 1, maxPatternSize, 1),
    minCount: wholeNumber(name("minCount"), read.minCount, undefined, 2),
    minLength: wholeNumber(name("minLength"), read.minLength ?? 0),
  };
}

/** @throws OPTION_INVALID */
export function tokenIds(option: string, given: unknown, vocabSize: number): number[] {
  // A copy without holes, which `every` would pass over.
  const ids: unknown[] = Array.isArray(given) ? Array.from(given) : [null];
  if (ids.every((id) => isToken(id, vocabSize))) return ids as number[];
  throw refused(`${option} must be a list of token ids, whole numbers of 0..${vocabSize - 1}.`);
}

/** @throws OPTION_INVALID */
export function texts(option: string, given: unknown): string[] {
  const list: unknown[] = given === undefined ? [] : Array.isArray(given) ? Array.from(given) : [null];
  if (list.every((text) => typeof text === "string" && text.trim() !== "")) return list as string[];
  throw refused(`${option} must be a list of texts that are not blank.`);
}

function isToken(id: unknown, vocabSize: number): id is number {
  return Number.isInteger(id) && (id as number) >= 0 && (id as number) < vocabSize;
}

function wholeNumber(option: string, given: unknown, most = Number.MAX_SAFE_INTEGER, least = 0): number {
  if (Number.isInteger(given) && (given as number) >= least && (given as number) <= most)
    return given as number;
  const range = most === Number.MAX_SAFE_INTEGER ? `from ${least}` : `of ${least} to ${most}`;
  throw refused(`${option} is ${shown(given)}, expected a whole number ${range}.`);
}

function refused(message: string): GlimtError {
  return new GlimtError("OPTION_INVALID", message);
}
