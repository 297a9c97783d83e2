/** Text to token ids and back, equal to Hugging Face's fast tokenizer on the same files. */

import { absenceOf, type CheckpointFiles, readJson } from "../checkpoint/files.ts";
import { GlimtError } from "../errors.ts";
import { turnWhenDue } from "../event-loop.ts";
import { readNumbers, readOptions, shown } from "../given.ts";
import { lossyUtf8, tokenBytes } from "./byte-level.ts";
import { Encoder } from "./encoding/encoder.ts";
import { namedTokens, specialContents } from "./special-tokens.ts";
import { readTokenizerConfig } from "./tokenizer-config.ts";

/** How token ids become a text. */
export interface DecodeOptions {
  /** Leave out special tokens (default true); ordinary added tokens stay. */
  readonly skipSpecialTokens?: boolean;
}

/** How the tokenizer reads a text. */
export interface EncodeTextOptions {
  /** A character that no token has: where it stands in the text no token is found, and it is no part of the text. */
  readonly mark?: string | undefined;
  /** Put around the text what the tokenizer puts around texts, where it does not begin with that; default true. */
  readonly addSpecialTokens?: boolean | undefined;
}

/** A checkpoint's tokenizer: text to token ids, and back. */
export interface Tokenizer {
  /** Ids are below this; the model's vocab_size is usually larger. */
  readonly vocabSize: number;
  /** bos_token, eos_token and so on of tokenizer_config.json, which chat templates may name. */
  readonly specialTokens: Readonly<Record<string, string>>;
  /** Tokens, special or not, that are found in text as a whole. */
  readonly addedTokens: readonly string[];
  /**
   * Special tokens in the text are recognised; none is added that the text already begins with.
   * @throws TOKENIZER_INVALID, INPUT_INVALID
   */
  encode(text: string, options?: EncodeTextOptions): number[];
  /** The same with turns of the event loop, for text that may be long. @throws ABORTED too */
  encodeWithTurns(
    text: string,
    options?: EncodeTextOptions & { readonly signal?: AbortSignal | undefined },
  ): Promise<number[]>;
  /** A text has no fewer tokens than this: what can be said without encoding it. */
  fewestTokens(text: string): number;
  /** Ids that no token has are left out, as Hugging Face does. */
  decode(ids: readonly number[], options?: DecodeOptions): string;
  /** The id of a token by its text in the vocabulary; null when there is none. */
  idOf(token: string): number | null;
  /** The text of a token in the vocabulary; null when there is none. */
  tokenOf(id: number): string | null;
  /** Whether a token is special, and so left out of texts. */
  isSpecial(id: number): boolean;
  /** What the token adds to the text, in UTF-8 (it may be a part of a character). */
  bytesOf(id: number): Uint8Array;
}

const NO_BYTES = new Uint8Array(0);

/** @throws CHECKPOINT_NOT_FOUND without tokenizer.json; TOKENIZER_INVALID; CHECKPOINT_INVALID when a file is no JSON. */
export async function loadTokenizer(
  files: CheckpointFiles,
  signal?: AbortSignal,
  configJson: Promise<unknown> = readTokenizerConfig(files, signal),
): Promise<Tokenizer> {
  const [json, config] = await Promise.all([readJson(files, "tokenizer.json", signal), configJson]);
  if (json === undefined) {
    throw new GlimtError(
      "CHECKPOINT_NOT_FOUND",
      `${files.location} has no tokenizer.json.${absenceOf(files, "tokenizer.json")}`,
    );
  }
  return createTokenizer(json, config);
}

/** From parsed tokenizer.json and, if there is one, tokenizer_config.json. @throws TOKENIZER_INVALID */
export function createTokenizer(tokenizerJson: unknown, tokenizerConfigJson: unknown = {}): Tokenizer {
  const json = asObject(tokenizerJson, "tokenizer.json");
  const config = asObject(tokenizerConfigJson, "tokenizer_config.json");
  requireByteLevel(json);
  const encoder = openEncoder(json, config);
  const specials = specialContents(json, config);
  const { vocabulary } = encoder;
  const tokens: string[] = [];
  for (const [token, id] of vocabulary) tokens[id] = token;
  const specialIds = new Set([...specials].flatMap((token) => vocabulary.get(token) ?? []));
  const bytes = new Map<number, Uint8Array>();
  const specialTokens = namedTokens(config);
  const bos = specialTokens.bos_token;

  const steps = (text: string, { mark, addSpecialTokens = true }: EncodeTextOptions) => {
    // transformers' processors: "consistent with tokenizers: the template already wrote it".
    const isWhole = bos !== undefined && bos !== "" && text.startsWith(bos);
    return encoder.encode(text, { addSpecialTokens: addSpecialTokens && !isWhole, mark });
  };

  const tokenizer: Tokenizer = {
    vocabSize: tokens.length,
    specialTokens,
    addedTokens: encoder.added.map(({ content }) => content),
    encode(given, options = {}) {
      const text = textOf(given);
      const encoding = steps(text, options);
      for (;;) {
        const { done, value } = encoding.next();
        if (done) return value;
      }
    },
    async encodeWithTurns(given, { signal, ...options } = {}) {
      const text = textOf(given);
      const encoding = steps(text, options);
      for (;;) {
        const { done, value } = encoding.next();
        if (done) return value;
        await turnWhenDue(signal);
      }
    },
    fewestTokens: (text) => Math.ceil(utf8Length(text) / encoder.longestToken),
    decode(given, options) {
      const ids = readNumbers(given, "ids");
      const { skipSpecialTokens = true } = readOptions(options, "decode", ["skipSpecialTokens"], {
        skipSpecialTokens: "boolean",
      });
      const decoder = lossyUtf8();
      const kept = skipSpecialTokens ? ids.filter((id) => !specialIds.has(id)) : ids;
      const pieces = kept.map((id) => decoder.decode(tokenizer.bytesOf(id), { stream: true }));
      return pieces.join("") + decoder.decode();
    },
    idOf: (token) => vocabulary.get(token) ?? null,
    tokenOf: (id) => tokens[id] ?? null,
    isSpecial: (id) => specialIds.has(id),
    bytesOf(id) {
      const known = bytes.get(id);
      if (known) return known;
      const token = tokens[id];
      const found = token === undefined ? NO_BYTES : tokenBytes(token);
      bytes.set(id, found);
      return found;
    },
  };
  return tokenizer;
}

function openEncoder(json: Record<string, unknown>, config: Record<string, unknown>): Encoder {
  try {
    return new Encoder(json, config);
  } catch (cause) {
    if (cause instanceof GlimtError) throw cause;
    throw new GlimtError("TOKENIZER_INVALID", `tokenizer.json: ${(cause as Error).message}`, { cause });
  }
}

/** Every GLM tokenizer decodes bytes; another decoder would need other rules here. */
function requireByteLevel({ decoder, model }: Record<string, unknown>): void {
  const decoderType = (decoder as { type?: unknown } | null | undefined)?.type;
  const modelType = (model as { type?: unknown } | null | undefined)?.type;
  if (decoderType === "ByteLevel" && modelType === "BPE") return;
  throw new GlimtError(
    "TOKENIZER_INVALID",
    `tokenizer.json has a ${modelType} model with a ${decoderType} decoder; GLM tokenizers are BPE with ByteLevel.`,
  );
}

function asObject(value: unknown, file: string): Record<string, unknown> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>;
  }
  throw new GlimtError("TOKENIZER_INVALID", `${file} is not a JSON object.`);
}

function textOf(given: unknown): string {
  if (typeof given === "string") return given;
  throw new GlimtError("INPUT_INVALID", `The tokenizer's text is ${shown(given)}, expected a string.`);
}

/** Without a copy of the text. */
function utf8Length(text: string): number {
  let bytes = text.length;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit > 0x7f) bytes++;
    // Half of a pair, whose four bytes are two a unit.
    if (unit > 0x7ff && (unit < 0xd800 || unit > 0xdfff)) bytes++;
  }
  return bytes;
}
