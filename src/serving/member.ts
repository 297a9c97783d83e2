/** A request under way, as the engine's loop sees it: what it holds, whose turn it is, and who waits for its next slice. */
import { abortError } from "../errors.ts";
import type { VisionItem } from "../prompt/vision-items.ts";
import type { SequenceSlice, SliceAnswer } from "../runtime/decoder.ts";
import type { StageRunners } from "../runtime/stage-runners.ts";
import type { EncodeOptions, Encoding } from "../runtime/vision-encoder.ts";
import type { GenerationRequest } from "./request.ts";
import type { PromptFeatures } from "./shared-features.ts";
import type { StepCandidate } from "./step-order.ts";

export interface AskOptions {
  readonly signal: AbortSignal;
  /** Told how much of its pictures is encoded, 0..1; what it throws ends the wait. */
  readonly onEncoding?: ((share: number) => void) | undefined;
  /** Told how much of its slice is computed, 0..1; what it throws ends the wait. */
  readonly reportOf: (slice: SequenceSlice) => ((share: number) => void) | undefined;
}

interface Ask extends AskOptions {
  readonly resolve: (answer: SliceAnswer) => void;
  readonly reject: (error: unknown) => void;
  readonly onAbort: () => void;
}

export interface MemberOptions {
  readonly priority: number;
  readonly arrival: number;
  /** The number of the next step. */
  readonly step: number;
  readonly prefillChunk: number;
}

/** It holds nothing of a caller's but while they wait. */
export class Member implements StepCandidate {
  readonly request: GenerationRequest;
  readonly stages: StageRunners;
  readonly priority: number;
  readonly arrival: number;
  lastTurn: number;
  askedAt: number;
  /** Its pages or its pictures are in use: they stay until that is over. */
  isBusy = false;
  /** Nobody will ask for it any more. */
  hasLeft = false;
  /** Since its last token: once is enough. */
  hasStartedOver = false;
  readonly #prefillChunk: number;
  #ask: Ask | null = null;
  #isAnswered = false;
  /** Until they are encoded. */
  #visionItems: readonly VisionItem[] | null = null;
  #encoding: Encoding | null = null;
  #isEncoded = false;

  constructor(
    request: GenerationRequest,
    stages: StageRunners,
    { priority, arrival, step, prefillChunk }: MemberOptions,
  ) {
    this.request = request;
    this.stages = stages;
    this.priority = priority;
    this.arrival = arrival;
    this.lastTurn = step;
    this.askedAt = step;
    this.#prefillChunk = prefillChunk;
  }

  get tokensToRead(): number {
    return this.request.tokensToRead;
  }

  get programs(): unknown {
    return this.stages.decoder;
  }

  get featuresToEncode(): number {
    return this.#encoding?.rowsLeft ?? 0;
  }

  /** Whether admitting it takes what its pictures need. */
  get takesPictures(): boolean {
    const { sharedFeatures, promptSizes } = this.request;
    return !this.#encoding && !this.#isEncoded && sharedFeatures === undefined && promptSizes.features > 0;
  }

  get canBePreempted(): boolean {
    return this.request.canBeReadAgain;
  }

  get isAsking(): boolean {
    return this.#ask !== null;
  }

  get isAborted(): boolean {
    return this.#ask?.signal.aborted ?? false;
  }

  /** Whether it has or is about to get pages. */
  get holdsPages(): boolean {
    return this.request.holdsPages;
  }

  /** @param step the number of the next one @param onAbort called at once where the signal has fired */
  ask(options: AskOptions, step: number, onAbort: () => void): Promise<SliceAnswer> {
    if (this.#isAnswered) this.askedAt = step;
    this.#isAnswered = false;
    return new Promise((resolve, reject) => {
      this.#ask = { ...options, resolve, reject, onAbort };
      options.signal.addEventListener("abort", onAbort);
      if (options.signal.aborted) onAbort();
    });
  }

  reportOf(slice: SequenceSlice) {
    return this.#ask?.reportOf(slice);
  }

  succeed(answer: SliceAnswer): void {
    this.#isAnswered = answer.tokens.length > 0;
    if (this.#isAnswered) this.hasStartedOver = false;
    this.#settled()?.resolve(answer);
  }

  /** With its own reason where it was aborted. */
  fail(error: unknown): void {
    const ask = this.#settled();
    ask?.reject(ask.signal.aborted ? abortError(ask.signal) : error);
  }

  /** Takes the memory that it needs up to its next token. @throws OUT_OF_MEMORY: some of it may be taken then */
  takeUp(): void {
    const { request, stages } = this;
    request.adoptPages();
    stages.decoder.reserve({ ...request.promptSizes, prefillChunk: this.#prefillChunk });
    if (this.#encoding || this.#isEncoded) return;
    const shared = request.sharedFeatures;
    this.#visionItems ??= request.takeVisionItems();
    stages.encoder.forgetOthers(this.#visionItems, request.featureKeys);
    if (shared !== undefined) this.#encoded(shared);
    else if (this.#visionItems.length === 0) this.#encoded(null);
    // Where all that they stand for was found in the cache they wait: it may be read again, from the front.
    else if (request.needsFeatures)
      this.#encoding = stages.encoder.begin(this.#visionItems, request.featureKeys);
  }

  /** Encodes some of its pictures; behind the last of them says what is read of its videos. */
  async encode(untilAlone?: EncodeOptions["untilAlone"]): Promise<void> {
    const { signal, onEncoding } = this.#ask as Ask;
    const encoding = this.#encoding as Encoding;
    await encoding.next({ signal, onProgress: onEncoding, untilAlone });
    if (encoding.rowsLeft > 0) return;
    const { range } = encoding;
    const { pruning } = this.request;
    const kept = pruning ? await this.stages.encoder.prune(range, pruning, signal) : [];
    this.#encoding = null;
    this.#encoded({ range, kept });
  }

  /** Gives back all that it holds. */
  release(): void {
    this.#encoding?.range.release();
    this.#encoding = null;
    this.request.release();
  }

  #encoded(features: PromptFeatures | null): void {
    this.#isEncoded = true;
    this.#visionItems = null;
    this.request.takeFeatures(features);
  }

  #settled(): Ask | null {
    const ask = this.#ask;
    this.#ask = null;
    ask?.signal.removeEventListener("abort", ask.onAbort);
    return ask;
  }
}
