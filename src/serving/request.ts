/**
 * One answer on its way: its prompt, its place in the KV cache, what its next token is chosen by, and what it has said.
 * It knows no engine: whoever runs it asks for its next slice, runs it in a step, and hands back what came out. There
 * are no phases: a slice is whatever tokens are known and not yet in the cache, of the prompt or of the answer, so a
 * request whose sequence was released reads itself again from the front, once it was given its features again.
 */
import type { GenerationDefaults, ModelConfig } from "../config/types.ts";
import { GlimtError } from "../errors.ts";
import { type PositionIds, textPositions } from "../mrope/positions.ts";
import { contextOverflow } from "../prompt/context-overflow.ts";
import { keepMediaRows } from "../prompt/keep-media-rows.ts";
import { numMediaRows, type PromptRows } from "../prompt/layout.ts";
import type { DecoderPrompt } from "../prompt/prompt-inputs.ts";
import type { VisionItem } from "../prompt/vision-items.ts";
import type { PromptSizes, SequenceSlice, SliceAnswer, SliceFeatures } from "../runtime/decoder.ts";
import type { FeatureRange } from "../runtime/feature-slab.ts";
import { type KvPool, Sequence } from "../runtime/kv-pool.ts";
import type { SamplingRow } from "../runtime/sampling-rows.ts";
import { IncrementalDetokenizer } from "../text/detokenizer.ts";
import { StopMatcher } from "../text/stop-matcher.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import type { ResolvedGeneration } from "./generation-options.ts";
import type { FinishReason, GeneratedPiece, GenerationResult } from "./generation-result.ts";
import { Sampler } from "./sampler.ts";
import { StageClock } from "./stage-clock.ts";
import { topLogits } from "./top-logits.ts";

/** What a request needs of a loaded model. */
export interface RequestParts {
  readonly config: ModelConfig;
  readonly generation: GenerationDefaults;
  readonly tokenizer: Tokenizer;
  readonly pool: KvPool;
}

const TOP_LOGITS = 10;

export class GenerationRequest {
  readonly #rows: PromptRows;
  readonly #visionTokens: number;
  readonly #stopTokenIds: ReadonlySet<number>;
  readonly #limit: number;
  readonly #seed: number;
  readonly #sampler: Sampler;
  readonly #tokenizer: Tokenizer;
  readonly #detokenizer: IncrementalDetokenizer;
  readonly #stops: StopMatcher;
  readonly #sequence: Sequence;
  readonly #clock = new StageClock();
  readonly #tokenIds: number[] = [];
  #visionItems: readonly VisionItem[];
  #features: FeatureRange | null = null;
  /** What the next token is chosen by: one draw a token, however often its slice is asked for. */
  #choice: SamplingRow | null = null;
  #topLogits: GenerationResult["topLogits"] = [];
  #text = "";
  #finishReason: FinishReason | null = null;

  /** @throws CONTEXT_OVERFLOW, INPUT_INVALID for an empty prompt */
  constructor(
    { config, generation, tokenizer, pool }: RequestParts,
    { layout, history, visionItems }: DecoderPrompt,
    { maxTokens, sampling, stop, stopTokenIds }: ResolvedGeneration,
  ) {
    // Nothing is pruned.
    this.#rows = keepMediaRows(layout, []);
    this.#visionTokens = numMediaRows(layout);
    this.#visionItems = visionItems;
    const context = config.text.maxPositionEmbeddings;
    const room = context - this.promptTokens;
    if (room < 1) throw contextOverflow(this.promptTokens, context, this.#visionTokens);
    if (this.promptTokens === 0) throw new GlimtError("INPUT_INVALID", "The prompt is empty.");
    this.#limit = Math.min(maxTokens, room);
    this.#stopTokenIds = new Set([...generation.eosTokenIds, ...stopTokenIds]);
    this.#seed = sampling.seed;
    this.#sampler = new Sampler(sampling, history);
    this.#detokenizer = new IncrementalDetokenizer(tokenizer);
    this.#tokenizer = tokenizer;
    this.#stops = new StopMatcher(stop, specialTexts(tokenizer));
    this.#sequence = new Sequence(pool);
  }

  get promptTokens(): number {
    return this.#rows.inputIds.length;
  }

  /** Tokens that are in the cache. */
  get tokensRead(): number {
    return this.#sequence.length;
  }

  /** Tokens that are known and not in the cache. */
  get tokensToRead(): number {
    return this.promptTokens + this.#tokenIds.length - this.#sequence.length;
  }

  /** What is to be read before the first token of the answer, while nothing is. */
  get promptSizes(): Omit<PromptSizes, "prefillChunk"> {
    return { sequence: this.#sequence, tokens: this.promptTokens, features: this.#visionTokens };
  }

  get finished(): boolean {
    return this.#finishReason !== null;
  }

  /** What is to be encoded before the first slice. It is handed out once, so that pixels go when they are encoded. */
  takeVisionItems(): readonly VisionItem[] {
    const items = this.#visionItems;
    this.#visionItems = [];
    return items;
  }

  /** The features of its vision items, which it keeps until its prompt is read; null when it has none. */
  takeFeatures(features: FeatureRange | null): void {
    this.#features = features;
    this.#clock.end("vision");
  }

  /** The next tokens to read, at most `mostTokens`. Asking changes nothing: the same slice comes until it was run. */
  nextSlice(mostTokens: number): SequenceSlice {
    const start = this.#sequence.length;
    const known = this.promptTokens + this.#tokenIds.length;
    const end = Math.min(start + mostTokens, known);
    const slice = {
      sequence: this.#sequence,
      inputIds: this.#ids(start, end),
      positionIds: this.#positions(start, end),
      features: this.#sliceFeatures(start, end),
    };
    if (end < known) return slice;
    this.#choice ??= this.#sampler.next();
    return { ...slice, wantsLogits: this.#tokenIds.length === 0, sampling: this.#choice };
  }

  /**
   * Takes in what came out of a step that ran its slice.
   *
   * @returns null while tokens are left to read. @throws TENSOR_INVALID when there was no token to choose
   */
  accept({ token, logits }: SliceAnswer): GeneratedPiece | null {
    if (this.#sequence.length >= this.promptTokens) this.#releaseFeatures();
    if (token === undefined) return null;
    if (this.#tokenIds.length === 0) {
      this.#clock.end("prefill");
      this.#topLogits = topLogits(logits as Float32Array, TOP_LOGITS);
    }
    this.#sampler.accept(token);
    this.#choice = null;
    this.#tokenIds.push(token);
    const text = this.#say(token);
    this.#text += text;
    if (this.#finishReason) this.#clock.end("decode");
    return { text, tokenId: token, index: this.#tokenIds.length - 1 };
  }

  /** Memory ran out in the middle of the answer: what that means for the one who asked. */
  outgrown(error: GlimtError): GlimtError {
    if (this.#tokenIds.length === 0) return error;
    return new GlimtError(
      error.code,
      `The answer outgrew memory after ${this.#tokenIds.length} of at most ${this.#limit} tokens behind ${this.promptTokens} of the prompt: lower maxTokens, or make room. ${error.message}`,
      { cause: error },
    );
  }

  /** Of a finished request. */
  result(): GenerationResult {
    return {
      text: this.#text,
      tokenIds: this.#tokenIds,
      finishReason: this.#finishReason as FinishReason,
      usage: {
        promptTokens: this.promptTokens,
        visionTokens: this.#visionTokens,
        completionTokens: this.#tokenIds.length,
      },
      timings: this.#clock.timings(),
      seed: this.#seed,
      topLogits: this.#topLogits,
    };
  }

  /** Gives back the memory it holds. */
  release(): void {
    this.#releaseFeatures();
    this.#sequence.release();
  }

  #releaseFeatures(): void {
    this.#features?.release();
    this.#features = null;
  }

  /** The text that became certain with a token; says whether the answer ends with it. */
  #say(token: number): string {
    const ended = this.#stopTokenIds.has(token);
    const text = ended ? "" : this.#said(token);
    if (ended || this.#stops.matched) this.#finishReason = "stop";
    else if (this.#tokenIds.length === this.#limit) this.#finishReason = "length";
    if (!this.#finishReason || this.#stops.matched) return text;
    return text + this.#stops.push(this.#detokenizer.flush()) + this.#stops.flush();
  }

  #said(token: number): string {
    const special = this.#tokenizer.isSpecial(token) ? this.#tokenizer.tokenOf(token) : null;
    return special === null
      ? this.#stops.push(this.#detokenizer.push(token))
      : this.#stops.pushSpecial(special);
  }

  #ids(start: number, end: number): number[] {
    const length = this.promptTokens;
    const answer = this.#tokenIds.slice(Math.max(0, start - length), Math.max(0, end - length));
    return start < length ? [...this.#rows.inputIds.slice(start, end), ...answer] : answer;
  }

  #positions(start: number, end: number): PositionIds {
    const { positionIds, ropeDelta } = this.#rows;
    const length = this.promptTokens;
    if (end <= length) return positionIds.map((axis) => axis.subarray(start, end)) as PositionIds;
    const behind = Math.max(start, length);
    const answer = textPositions(behind, end - behind, ropeDelta);
    if (start >= length) return answer;
    return positionIds.map((axis, index) =>
      Int32Array.from([...axis.subarray(start), ...(answer[index] as Int32Array)]),
    ) as PositionIds;
  }

  #sliceFeatures(start: number, end: number): SliceFeatures | undefined {
    if (start >= this.promptTokens) return undefined;
    const features = this.#rows.features.subarray(start, end);
    const rows = Int32Array.from(features.keys()).filter((row) => (features[row] as number) >= 0);
    if (rows.length === 0) return undefined;
    if (!this.#features)
      throw new Error("A request was asked for rows of pictures before it had their features.");
    const { firstRow } = this.#features;
    return { sources: rows.map((row) => firstRow + (features[row] as number)), rows };
  }
}

function specialTexts({ addedTokens, idOf, isSpecial }: Tokenizer): string[] {
  return addedTokens.filter((token) => isSpecial(idOf(token) as number));
}
