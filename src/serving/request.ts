/**
 * One answer on its way: its prompt, its place in the KV cache, what its next token is chosen by, and what it has said.
 * It knows no engine: whoever runs it asks for its next slice, runs it in a step, and hands back what came out. There
 * are no phases: a slice is whatever tokens are known and not yet in the cache, of the prompt or of the answer, so a
 * request whose sequence was released reads itself again from the front, once it was given its features again.
 */

import type { Executable } from "../backends/backend.ts";
import type { ModelConfig } from "../config/types.ts";
import { GlimtError } from "../errors.ts";
import { MOST_MTP_DRAFTS } from "../models/mtp.ts";
import { promptSize } from "../prompt/context-overflow.ts";
import { type KeptMedia, keepMediaRows, placesInLayout } from "../prompt/keep-media-rows.ts";
import { numMediaRows, type PromptLayout } from "../prompt/layout.ts";
import type { DecoderPrompt } from "../prompt/prompt-inputs.ts";
import type { VisionItem } from "../prompt/vision-items.ts";
import type { PromptSizes, SequenceSlice, SliceAnswer } from "../runtime/decoder.ts";
import type { Drafting } from "../runtime/drafting-inputs.ts";
import type { FeatureRange } from "../runtime/feature-slab.ts";
import { type KvPool, Sequence } from "../runtime/kv-pool.ts";
import type { Pruning } from "../runtime/prune-videos.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import type { AnswerGrammar } from "./answer-grammar.ts";
import { AnswerText } from "./answer-text.ts";
import { featureKey, namedFeatureKey } from "./feature-keys.ts";
import type { ResolvedGeneration } from "./generation-options.ts";
import type { FinishReason, GeneratedPiece, PromptUsage, RequestResult } from "./generation-result.ts";
import { type FoundPages, RequestPages, type RequestScope } from "./request-pages.ts";
import { RequestRows } from "./request-rows.ts";
import { Sampler } from "./sampler.ts";
import type { FeatureShare, PromptFeatures } from "./shared-features.ts";
import { type DraftCounts, type Drafter, MOST_DRAFTS, resolveSpeculation } from "./speculation.ts";
import { StageClock } from "./stage-clock.ts";
import { ThinkingTokens } from "./thinking.ts";
import { ThinkingBudget } from "./thinking-budget.ts";
import { type TokenLogprob, tokenLogprob } from "./token-logprobs.ts";
import { topLogits } from "./top-logits.ts";

/** What a request needs of a loaded model. */
export interface RequestParts {
  readonly config: ModelConfig;
  readonly tokenizer: Tokenizer;
  readonly pool: KvPool;
  /** Of a model that was loaded with its MTP layer. */
  readonly drafting?: Executable | undefined;
  readonly drafts: DraftCounts;
  /** The share of each video's tokens that is left out. */
  readonly videoPruning: number;
}

const TOP_LOGITS = 10;

export class GenerationRequest {
  readonly #layout: PromptLayout;
  readonly #videoPruning: number;
  readonly #rows: RequestRows;
  readonly #answer: AnswerText;
  readonly #visionTokens: number;
  readonly #limit: number;
  readonly #seed: number;
  readonly #tokenizer: Tokenizer;
  /** Most probable tokens told with each; null: none is told how probable it was. */
  readonly #topLogprobs: number | null;
  readonly #tellsAttention: boolean;
  /** Where its rows are in the layout, of a prompt of which some were left out. */
  #places: Int32Array | null = null;
  readonly #logprobs: TokenLogprob[] = [];
  readonly #sampler: Sampler;
  readonly #pool: KvPool;
  readonly #sequence: Sequence;
  readonly #cacheSalt: string;
  readonly #clock = new StageClock();
  #visionItems: readonly VisionItem[];
  #features: FeatureRange | null = null;
  #share: FeatureShare | null = null;
  #lacksFeatures = false;
  readonly #drafter: Drafter | null;
  readonly #draftsByMtp: boolean;
  readonly #constraint: AnswerGrammar | null;
  readonly #counts: DraftCounts;
  /** Most drafts that the layer is asked for: one more than were right the last time. */
  #reach = MOST_MTP_DRAFTS;
  /** Guesses of what the answer says next, to be read behind its last token. */
  #drafts: readonly number[] = [];
  #topLogits: RequestResult["topLogits"] = [];
  /** Null while its pages are its own. */
  #pages: RequestPages | null = null;
  #featureKeys: readonly string[] | null = null;

  /**
   * @param beside what guesses its tokens, where not the layer does, and what else says which tokens may follow
   * @throws CONTEXT_OVERFLOW, INPUT_INVALID for an empty prompt, OPTION_INVALID for drafts of a layer that is not there
   */
  constructor(
    { config, tokenizer, pool, drafting: mtp, drafts: counts, videoPruning }: RequestParts,
    { layout, history, visionItems }: DecoderPrompt,
    { maxTokens, sampling, stop, tokens, speculation, attention, cacheSalt }: ResolvedGeneration,
    {
      drafter = null,
      constraint = null,
    }: { readonly drafter?: Drafter | null; readonly constraint?: AnswerGrammar | null } = {},
  ) {
    const size = promptSize(layout, videoPruning, config.text.maxPositionEmbeddings);
    const { promptTokens, visionTokens, room } = size;
    this.#layout = layout;
    this.#videoPruning = videoPruning;
    this.#visionTokens = visionTokens;
    this.#visionItems = visionItems;
    this.#limit = Math.min(maxTokens, room);
    this.#answer = new AnswerText(tokenizer, { limit: this.#limit, stop, ...tokens });
    // A prompt of embeddings is one item, and no media.
    const firstFeatures =
      layout.media.length > 0 ? layout.media.map(({ firstFeature }) => firstFeature) : [0];
    this.#rows = new RequestRows(promptTokens, this.#answer.tokenIds, firstFeatures);
    if (promptTokens === layout.inputIds.length) this.#rows.know(keepMediaRows(layout, []));
    this.#seed = sampling.seed;
    const { thinkingBudget, topLogprobs } = tokens;
    const thinking =
      thinkingBudget === null
        ? null
        : new ThinkingBudget(new ThinkingTokens(tokenizer), thinkingBudget, history);
    // Pruning leaves some of each video, so the same ids are counted as without.
    this.#sampler = new Sampler(sampling, history, {
      vocabSize: config.text.vocabSize,
      ...tokens,
      thinking,
      constraint,
    });
    this.#tokenizer = tokenizer;
    this.#topLogprobs = topLogprobs;
    this.#tellsAttention = attention;
    this.#pool = pool;
    this.#sequence = new Sequence(pool);
    this.#constraint = constraint;
    this.#draftsByMtp = resolveSpeculation(speculation, mtp !== undefined) === "mtp";
    this.#drafter = drafter;
    this.#counts = counts;
    this.#cacheSalt = cacheSalt;
  }

  get promptTokens(): number {
    return this.#rows.promptTokens;
  }

  /** Tokens that are in the cache. */
  get tokensRead(): number {
    return this.#sequence.length;
  }

  get holdsPages(): boolean {
    return this.#sequence.blockTable.length > 0;
  }

  /** Tokens that are known or guessed, and not in the cache. */
  get tokensToRead(): number {
    return this.#rows.length + this.#drafts.length - this.#sequence.length;
  }

  /** What is to be read before its next token. */
  get promptSizes(): Omit<PromptSizes, "prefillChunk"> {
    return { sequence: this.#sequence, tokens: this.tokensToRead, features: numMediaRows(this.#layout) };
  }

  /** Whether it has all it needs to read itself again from the front. */
  get canBeReadAgain(): boolean {
    return !this.#lacksFeatures;
  }

  get finished(): boolean {
    return this.#answer.finishReason !== null;
  }

  /**
   * Says what tells it from others with the same ids. @param sharesPages whether pages are shared from now on with those
   * that have the same rows in the same scope
   */
  identify(scope: Pick<RequestScope, "adapters" | "media">, sharesPages: boolean): void {
    const { adapters, media } = scope;
    const salt = this.#cacheSalt;
    this.#featureKeys = media.map((identity, index) => {
      const uuid = this.#visionItems[index]?.uuid;
      return uuid === undefined
        ? featureKey(adapters, salt, identity)
        : namedFeatureKey(adapters, salt, uuid);
    });
    if (!sharesPages) return;
    const whole = { ...scope, salt, withDrafter: this.#draftsByMtp };
    this.#pages = new RequestPages(this.#pool, this.#sequence, this.#rows, whole);
  }

  /** Goes on behind what others have computed of its next rows, where these are known. Not while a step of it runs. */
  adoptPages(): void {
    if (this.#rows.areKnown) this.#pages?.adopt();
  }

  /** Its pages that others find; null where pages are not shared, and when it has lost them. */
  get foundPages(): FoundPages | null {
    return this.holdsPages ? (this.#pages?.found ?? null) : null;
  }

  /** Under which features of each of its images and videos are kept; null before it was identified. */
  get featureKeys(): readonly string[] | null {
    return this.#featureKeys;
  }

  /** Whether rows that are still to be read take features, or are told from them. */
  get needsFeatures(): boolean {
    return !this.#rows.areKnown || this.#rows.hasFeaturesFrom(this.tokensRead);
  }

  /** Its images and videos, while they were not taken. */
  get visionItems(): readonly VisionItem[] {
    return this.#visionItems;
  }

  /** What is to be encoded before the first slice. It is handed out once, so that pixels go when they are encoded. */
  takeVisionItems(): readonly VisionItem[] {
    const items = this.#visionItems;
    this.#visionItems = [];
    return items;
  }

  /** Its features are those of other requests too. */
  shareFeatures(share: FeatureShare): void {
    this.#share = share;
  }

  /** Features that a request which shares them has encoded; undefined where none has. */
  get sharedFeatures(): PromptFeatures | null | undefined {
    return this.#share?.features;
  }

  /** What its features are to be pruned by, which says what its rows are; null where these are known. */
  get pruning(): Pruning | null {
    return this.#rows.areKnown ? null : { media: this.#layout.media, rate: this.#videoPruning };
  }

  /** What its vision items became, null when it has none. It keeps them, since it may have to read itself again. */
  takeFeatures(features: PromptFeatures | null): void {
    const found = this.#share ? this.#share.take(features) : features;
    if (!this.#rows.areKnown) this.#keepRows(found?.kept ?? []);
    this.#features = found?.range ?? null;
    this.#clock.end("vision");
  }

  #keepRows(kept: KeptMedia): void {
    const rows = keepMediaRows(this.#layout, kept);
    this.#rows.know(rows);
    if (this.#tellsAttention) this.#places = placesInLayout(this.#layout, rows);
  }

  /** Makes what choosing its next tokens takes on this thread, as far as that may take long; other tasks run meanwhile. */
  async prepare(): Promise<void> {
    const most = await this.#constraint?.prepare(this.#drafts);
    this.#drafts = this.#drafts.slice(0, most);
  }

  /** The next tokens to read, at most `mostTokens`. Asking changes nothing: the same slice comes until it was run. */
  nextSlice(mostTokens: number): SequenceSlice {
    const start = this.#sequence.length;
    const known = this.#rows.length;
    const end = Math.min(start + mostTokens, known + this.#drafts.length);
    const drafts = this.#drafts.slice(0, Math.max(0, end - known));
    const slice = {
      sequence: this.#sequence,
      inputIds: [...this.#rows.ids(start, end), ...drafts],
      positionIds: this.#rows.positions(start, end),
      features: this.#rows.features(start, end, this.#features),
    };
    const drafting = this.#draftsByMtp ? this.#drafting(start, end, drafts.length) : undefined;
    if (end < known) return { ...slice, drafting };
    const wantsLogits = this.#tokens === 0 || this.#topLogprobs !== null;
    const wantsAttention = this.#tellsAttention;
    return { ...slice, drafting, wantsLogits, wantsAttention, sampling: this.#sampler.rows(drafts) };
  }

  #drafting(start: number, end: number, guessed: number): Drafting {
    const known = this.#rows.length;
    const features = this.#rows.features(start + 1, end + 1, this.#features);
    if (end < known) return { nextId: this.#rows.ids(end, end + 1)[0], features, most: 0, sampling: [] };
    const most = Math.max(0, Math.min(this.#reach, this.#limit - this.#tokens - 2));
    return { features, most, sampling: most > 0 ? this.#sampler.guesses(1, guessed + most) : [] };
  }

  /**
   * Takes in what came out of a step that ran its slice.
   *
   * @returns a piece a token; none while tokens are left to read. @throws TENSOR_INVALID when there was no token to choose
   */
  accept({ tokens, logits, drafts, attention }: SliceAnswer): GeneratedPiece[] {
    // Memory was short, and the layer has not read the slice: behind its pages others would draft badly.
    if (this.#draftsByMtp && !drafts) this.#pages?.keep();
    if (tokens.length === 0) return [];
    if (this.#tokens === 0) {
      this.#clock.end("prefill");
      this.#topLogits = topLogits(logits[0] as Float32Array, TOP_LOGITS);
    }
    const pieces: GeneratedPiece[] = [];
    for (const [index, token] of tokens.entries()) {
      pieces.push(this.#take(token, logits?.[index], attention?.[index]));
      // What was chosen behind a wrong guess was chosen behind another text.
      if (this.finished || token !== this.#drafts[index]) break;
    }
    // Of what was read, as much as is true; the last token is not.
    this.#sequence.length = Math.min(this.#sequence.length, this.#rows.length - 1);
    this.#counts.count(tokens.length - 1, pieces.length - 1);
    if (tokens.length > 1) this.#reach = Math.min(MOST_MTP_DRAFTS, pieces.length);
    this.#pages?.publish();
    this.#drafts = this.finished ? [] : this.#nextDrafts(drafts);
    if (this.finished) this.#clock.end("decode");
    return pieces;
  }

  #take(token: number, logits: Float32Array | undefined, weights: Float32Array | undefined): GeneratedPiece {
    this.#sampler.accept(token);
    this.#drafter?.push(token);
    const text = this.#answer.push(token);
    const { finishReason } = this.#answer;
    const index = this.#tokens - 1;
    const prompt = index === 0 && { prompt: this.#promptUsage() };
    const attention = weights && { attention: this.#overLayout(weights) };
    const piece = { text, tokenId: token, index, finishReason, ...prompt, ...attention };
    if (this.#topLogprobs === null) return piece;
    const logprob = tokenLogprob(logits as Float32Array, token, this.#topLogprobs, this.#tokenizer);
    this.#logprobs.push(logprob);
    return { ...piece, logprob };
  }

  /** Numbers of its rows, for all rows of the layout and of the answer: 0 for those that were left out. */
  #overLayout(values: Float32Array): Float32Array {
    if (!this.#places) return values;
    const all = this.#layout.inputIds.length;
    const { promptTokens } = this;
    const spread = new Float32Array(all + values.length - promptTokens);
    for (const [row, place] of this.#places.entries()) spread[place] = values[row] as number;
    spread.set(values.subarray(promptTokens), all);
    return spread;
  }

  /** One token comes for nothing, behind the last draft. */
  #nextDrafts(ofLayer: readonly number[] = []): readonly number[] {
    const useful = this.#limit - this.#tokens - 1;
    const drafts = this.#drafter?.drafts(Math.min(useful, MOST_DRAFTS)) ?? ofLayer.slice(0, useful);
    return this.#constraint?.allowedOf(drafts) ?? drafts;
  }

  /** Memory ran out in the middle of the answer: what that means for the one who asked. */
  outgrown(error: GlimtError): GlimtError {
    if (this.#tokens === 0) return error;
    return new GlimtError(
      error.code,
      `The answer outgrew memory after ${this.#tokens} of at most ${this.#limit} tokens behind ${this.promptTokens} of the prompt: lower maxTokens, or make room. ${error.message}`,
      { cause: error },
    );
  }

  #promptUsage(): PromptUsage {
    return {
      promptTokens: this.promptTokens,
      visionTokens: this.#visionTokens,
      cachedTokens: this.#pages?.foundTokens ?? 0,
    };
  }

  /** Of a finished request. */
  result(): RequestResult {
    return {
      text: this.#answer.text,
      tokenIds: this.#answer.tokenIds,
      finishReason: this.#answer.finishReason as FinishReason,
      matchedStop: this.#answer.matchedStop,
      usage: { ...this.#promptUsage(), completionTokens: this.#tokens },
      timings: this.#clock.timings(),
      seed: this.#seed,
      topLogits: this.#topLogits,
      ...(this.#topLogprobs !== null && { logprobs: this.#logprobs }),
    };
  }

  /** Makes room for so many of its next tokens. @throws OUT_OF_MEMORY */
  reserve(tokens: number): void {
    this.#sequence.reserve(Math.min(tokens, this.tokensToRead));
  }

  /** The same where some are guesses, as far as there is room. @returns for how many */
  reserveForGuesses(tokens: number): number {
    return this.#sequence.reserveBlank(Math.min(tokens, this.tokensToRead));
  }

  /** Its next slice has no guesses. @returns whether it would have had some */
  dropGuesses(): boolean {
    const had = this.#drafts.length > 0;
    this.#drafts = [];
    return had;
  }

  /** Gives back its pages. It reads itself again from the front, with the features that it keeps. */
  giveBackPages(): void {
    this.#sequence.release();
    // No room is asked for to read them again.
    this.#drafts = [];
  }

  /** Gives back features that were read: it can not be read again. @returns whether there were any */
  giveBackFeatures(): boolean {
    if (!this.#features || this.#sequence.length < this.promptTokens) return false;
    this.#lacksFeatures = true;
    this.#releaseFeatures();
    return true;
  }

  /** Gives back the memory it holds. */
  release(): void {
    this.#releaseFeatures();
    this.#share?.release();
    this.#sequence.release();
  }

  #releaseFeatures(): void {
    this.#features?.release();
    this.#features = null;
  }

  /** Tokens of the answer so far. */
  get #tokens(): number {
    return this.#answer.tokenIds.length;
  }
}
