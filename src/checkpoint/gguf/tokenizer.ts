/** The tokenizer of a GGUF file, as tokenizer.json and tokenizer_config.json would have it. */
import { GlimtError } from "../../errors.ts";
import { shownValue } from "../shown.ts";
import type { GgufValues } from "./values.ts";

/** Types of tokens. Others are ordinary; unused ones fill the vocabulary up. */
const CONTROL = 3;
const USER_DEFINED = 4;
const UNUSED = 5;

/** Both are names of one rule. */
const PRE_TOKENIZERS = ["glm4", "chatglm-bpe"];
const WORDS =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

/** Tokens that end an answer, by their keys; the last is lost in files of dense models. */
const END_KEYS = ["eos", "eot", "eom"].map((name) => `tokenizer.ggml.${name}_token_id`);
const OBSERVATION = "<|observation|>";

export interface GgufTokenizer {
  readonly tokenizerJson: object;
  readonly configJson: object;
  readonly endIds: readonly number[];
  readonly padId: number | undefined;
  /** By its text. */
  idOf(token: string): number | undefined;
}

/** @param embeddings how many tokens the model has an embedding for. @throws TOKENIZER_INVALID */
export function ggufTokenizer(values: GgufValues, file: string, embeddings: number): GgufTokenizer {
  const invalid = (what: string) => new GlimtError("TOKENIZER_INVALID", `${file}: ${what}`);
  const model = values.text("tokenizer.ggml.model");
  const pre = values.text("tokenizer.ggml.pre");
  if (model !== "gpt2" || !PRE_TOKENIZERS.includes(pre ?? "")) {
    throw invalid(
      `its tokenizer is ${shownValue(model)} with tokenizer.ggml.pre ${shownValue(pre)}; those of GLM models are "gpt2" with "glm4".`,
    );
  }
  const tokens = values.texts("tokenizer.ggml.tokens");
  const merges = values.texts("tokenizer.ggml.merges");
  const types = values.numbers("tokenizer.ggml.token_type");
  if (!tokens || !merges) throw invalid("it has no lists of tokens and merges.");
  if (types?.length !== tokens.length) {
    throw invalid(`it has ${tokens.length} tokens, and types of ${types?.length ?? 0}.`);
  }
  const used = tokens.flatMap((token, id) => (types[id] === UNUSED ? [] : [[token, id] as const]));
  const [, last = -1] = used.at(-1) ?? [];
  if (last >= embeddings) throw invalid(`it has a token ${last}, and embeddings of ${embeddings} tokens.`);
  const ids = new Map(used);
  if (ids.size !== used.length) throw invalid("two of its tokens are the same.");
  const added = used.filter(([, id]) => types[id] === CONTROL || types[id] === USER_DEFINED);
  const id = (key: string) => {
    const value = values.has(key) ? values.count(key, 0) : undefined;
    if (value !== undefined && value >= tokens.length)
      throw invalid(`${key} is ${value}, which is no token.`);
    return value;
  };
  const ends = [...END_KEYS.map(id), ids.get(OBSERVATION)];
  const padId = id("tokenizer.ggml.padding_token_id");
  const named = { eos_token: ends[0], pad_token: padId };
  const configJson = Object.fromEntries(
    Object.entries(named).flatMap(([key, token]) => (token === undefined ? [] : [[key, tokens[token]]])),
  );
  return {
    tokenizerJson: {
      added_tokens: added.map(([content, id]) => ({ id, content, special: types[id] === CONTROL })),
      normalizer: null,
      pre_tokenizer: {
        type: "Sequence",
        pretokenizers: [
          { type: "Split", pattern: { Regex: WORDS }, behavior: "Isolated", invert: false },
          { type: "ByteLevel", add_prefix_space: false, use_regex: false },
        ],
      },
      post_processor: null,
      decoder: { type: "ByteLevel" },
      // All tokens, the added ones too: so each has the id that the file gives it.
      model: { type: "BPE", ignore_merges: true, vocab: Object.fromEntries(used), merges },
    },
    configJson,
    endIds: [...new Set(ends.filter((end) => end !== undefined))],
    padId,
    idOf: (token) => ids.get(token),
  };
}
