/**
 * Text to ids: byte-level BPE, equal to Hugging Face's fast tokenizer on the same files and near-linear in the length of
 * any text. Encoding is cut into steps, so that a long text can be left for a turn of the event loop, or for good.
 */
import { GlimtError } from "../../errors.ts";
import { byteCharacters, tokenBytes } from "../byte-level.ts";
import { type AddedToken, addedTokens, TokenFinder } from "./added-tokens.ts";
import { MergeTable, MergingWord } from "./merges.ts";
import { type PreTokenizer, preTokenizer } from "./pre-tokenizer.ts";

type Json = Readonly<Record<string, unknown>>;

/** Words, and looks at candidates of a merge, in one step: some milliseconds. */
const WORDS_A_STEP = 2048;
const CANDIDATES_A_STEP = 1 << 14;

const MOST_KNOWN_WORDS = 1 << 14;
const LONGEST_KNOWN_WORD = 64;

export interface EncodeOptions {
  /** Add what the tokenizer puts around a text. */
  readonly addSpecialTokens: boolean;
  /** A character that keeps tokens from being found, and is no part of the text otherwise. */
  readonly mark?: string | undefined;
}

export class Encoder {
  /** Ids by token, the added ones included. */
  readonly vocabulary: ReadonlyMap<string, number>;
  readonly added: readonly AddedToken[];
  /** Of any token in UTF-8; infinite where a token takes in white space. */
  readonly longestToken: number;
  readonly #words: ReadonlyMap<string, number>;
  readonly #merges: MergeTable;
  readonly #ignoreMerges: boolean;
  readonly #longestWord: number;
  /** By byte; -1 where the vocabulary has none and no unknown token stands for it. */
  readonly #byteIds: Int32Array;
  readonly #unknown: { readonly id: number; readonly isFused: boolean } | null;
  readonly #normalise: (text: string) => string;
  readonly #finder: TokenFinder;
  readonly #normalisedFinder: TokenFinder;
  readonly #cut: PreTokenizer;
  readonly #around: { readonly before: readonly number[]; readonly after: readonly number[] };
  readonly #utf8 = new TextEncoder();
  /** Ids of words that came before: text repeats itself. */
  readonly #known = new Map<string, readonly number[]>();

  /** Of parsed tokenizer.json and tokenizer_config.json. @throws TOKENIZER_INVALID */
  constructor(tokenizer: Json, config: Json) {
    const model = tokenizer.model as Json;
    refuse(model, "dropout", (value) => value === 0);
    refuse(model, "continuing_subword_prefix", (value) => value === "");
    refuse(model, "end_of_word_suffix", (value) => value === "");
    this.#words = wordsOf(model.vocab);
    this.#merges = new MergeTable(listOf(model.merges, "model.merges"), this.#words);
    this.#ignoreMerges = model.ignore_merges === true;
    const byteIds = byteCharacters().map((character) => this.#words.get(character) ?? -1);
    this.#byteIds = Int32Array.from(byteIds);
    this.#unknown = unknownOf(model, this.#words);
    this.#normalise = normaliser(tokenizer.normalizer);
    this.added = addedTokens(tokenizer, config, this.#words);
    const plain = this.added.filter(({ normalized }) => !normalized);
    this.#finder = new TokenFinder(plain.map((token) => [token.content, token]));
    const normalised = this.added.filter(({ normalized }) => normalized);
    this.#normalisedFinder = new TokenFinder(
      normalised.map((token) => [this.#normalise(token.content), token]),
    );
    this.#cut = preTokenizer(tokenizer.pre_tokenizer);
    this.#around = around(
      tokenizer.post_processor,
      new Map(this.added.map(({ content, id }) => [content, id])),
    );
    this.vocabulary = new Map([
      ...this.#words,
      ...this.added.map(({ content, id }) => [content, id] as const),
    ]);
    this.#longestWord = longestOf(this.#words.keys());
    const strips =
      this.added.some(({ lstrip, rstrip }) => lstrip || rstrip) || !isNothing(tokenizer.normalizer);
    const contents = this.added.map(({ content }) => content);
    this.longestToken = strips ? Number.POSITIVE_INFINITY : Math.max(this.#longestWord, longestOf(contents));
  }

  /** Gives the ids at its end; may be left at any of its steps. @throws TOKENIZER_INVALID, INPUT_INVALID */
  *encode(text: string, { addSpecialTokens, mark }: EncodeOptions): Generator<void, number[]> {
    const ids = addSpecialTokens ? [...this.#around.before] : [];
    let words = 0;
    for (const segment of this.#finder.split(text)) {
      if (typeof segment === "number") {
        ids.push(segment);
        if (++words % WORDS_A_STEP === 0) yield;
        continue;
      }
      for (const piece of this.#normalisedFinder.split(this.#normalise(segment))) {
        if (typeof piece === "number") {
          ids.push(piece);
          continue;
        }
        const plain = mark === undefined ? piece : piece.replaceAll(mark, "");
        for (const word of this.#cutText(plain)) {
          yield* this.#word(word, ids);
          if (++words % WORDS_A_STEP === 0) yield;
        }
      }
    }
    if (addSpecialTokens) for (const id of this.#around.after) ids.push(id);
    return ids;
  }

  *#cutText(text: string): Generator<string> {
    try {
      yield* this.#cut(text);
    } catch (cause) {
      if (!(cause instanceof RangeError)) throw cause;
      throw new GlimtError(
        "INPUT_INVALID",
        `A text of ${text.length} characters has too long a run of one kind for the tokenizer's pattern; shorten it.`,
        { cause },
      );
    }
  }

  *#word(word: string, ids: number[]): Generator<void> {
    const known = this.#known.get(word);
    if (known !== undefined) {
      for (const id of known) ids.push(id);
      return;
    }
    const start = ids.length;
    yield* this.#newWord(word, ids);
    if (word.length > LONGEST_KNOWN_WORD) return;
    if (this.#known.size === MOST_KNOWN_WORDS) this.#known.clear();
    this.#known.set(word, ids.slice(start));
  }

  *#newWord(word: string, ids: number[]): Generator<void> {
    const bytes = this.#utf8.encode(word);
    if (this.#ignoreMerges && bytes.length <= this.#longestWord) {
      const whole = this.#words.get(characters(bytes));
      if (whole !== undefined) {
        ids.push(whole);
        return;
      }
    }
    const merging = new MergingWord(this.#merges, this.#symbols(bytes));
    while (!merging.advance(CANDIDATES_A_STEP)) yield;
    merging.appendTo(ids);
  }

  #symbols(bytes: Uint8Array): Int32Array {
    const symbols = Int32Array.from(bytes, (byte) => this.#byteIds[byte] as number);
    if (!symbols.includes(-1)) return symbols;
    // As Hugging Face: a byte that the vocabulary lacks is unknown, or left out.
    if (this.#unknown === null) return symbols.filter((id) => id !== -1);
    const { id: unknown, isFused } = this.#unknown;
    if (unknown === -1) {
      throw new GlimtError("TOKENIZER_INVALID", "tokenizer.json has no token for a part of the text.");
    }
    return symbols
      .filter((id, at) => !(isFused && id === -1 && symbols[at - 1] === -1))
      .map((id) => (id === -1 ? unknown : id));
  }
}

const CHARACTERS = byteCharacters();

function characters(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += CHARACTERS[byte];
  return text;
}

function wordsOf(vocab: unknown): Map<string, number> {
  const words = new Map(typeof vocab === "object" && vocab !== null ? Object.entries(vocab) : []);
  const isValid = (id: unknown) => Number.isInteger(id) && (id as number) >= 0 && (id as number) < 2 ** 31;
  if (words.size > 0 && [...words.values()].every(isValid)) return words;
  throw new GlimtError("TOKENIZER_INVALID", "tokenizer.json: model.vocab must give each token an id.");
}

function unknownOf({ unk_token: token, fuse_unk }: Json, words: ReadonlyMap<string, number>) {
  if (isNothing(token)) return null;
  return { id: words.get(String(token)) ?? -1, isFused: fuse_unk === true };
}

function normaliser(json: unknown): (text: string) => string {
  if (isNothing(json)) return (text) => text;
  const { type, normalizers } = json as { type?: unknown; normalizers?: unknown };
  if (type === "Sequence") {
    const steps = listOf(normalizers, "normalizer.normalizers").map(normaliser);
    return (text) => steps.reduce((found, step) => step(found), text);
  }
  if (typeof type === "string" && /^NFK?[CD]$/.test(type)) return (text) => text.normalize(type);
  throw new GlimtError(
    "TOKENIZER_INVALID",
    `tokenizer.json: its normalizer is ${JSON.stringify(type)}; those of GLM models are none or Unicode forms.`,
  );
}

/** Ids that a post_processor puts before and behind a text. */
function around(json: unknown, ids: ReadonlyMap<string, number>): { before: number[]; after: number[] } {
  const { type, processors, single } = (json ?? {}) as Record<string, unknown>;
  if (isNothing(json) || type === "ByteLevel") return { before: [], after: [] };
  if (type === "Sequence") {
    return listOf(processors, "post_processor.processors")
      .map((step) => around(step, ids))
      .reduce((inner, outer) => ({
        before: [...outer.before, ...inner.before],
        after: [...inner.after, ...outer.after],
      }));
  }
  if (type !== "TemplateProcessing") {
    throw new GlimtError(
      "TOKENIZER_INVALID",
      `tokenizer.json: its post_processor is ${JSON.stringify(type)}, expected ByteLevel or TemplateProcessing.`,
    );
  }
  const found = { before: [] as number[], after: [] as number[] };
  let side = found.before;
  for (const piece of listOf(single, "post_processor.single") as Record<string, { id?: unknown }>[]) {
    if (!piece.SpecialToken) {
      side = found.after;
      continue;
    }
    const id = ids.get(String(piece.SpecialToken.id));
    if (id === undefined) {
      throw new GlimtError(
        "TOKENIZER_INVALID",
        `tokenizer.json: its post_processor adds ${JSON.stringify(piece.SpecialToken.id)}, which is no added token.`,
      );
    }
    side.push(id);
  }
  return found;
}

function refuse(model: Json, key: string, isHarmless: (value: unknown) => boolean): void {
  const value = model[key];
  if (isNothing(value) || isHarmless(value)) return;
  throw new GlimtError(
    "TOKENIZER_INVALID",
    `tokenizer.json: model.${key} is ${JSON.stringify(value)}; tokenizers of GLM models have none.`,
  );
}

function listOf(value: unknown, name: string): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw new GlimtError("TOKENIZER_INVALID", `tokenizer.json: ${name} must be a list.`);
}

function longestOf(tokens: Iterable<string>): number {
  let longest = 1;
  for (const token of tokens) {
    // In bytes a token has no more than in characters of the vocabulary's alphabet, or three a unit of plain text.
    if (token.length * 3 > longest) longest = Math.max(longest, tokenBytes(token).length);
  }
  return longest;
}

function isNothing(value: unknown): value is null | undefined {
  return value === null || value === undefined;
}
