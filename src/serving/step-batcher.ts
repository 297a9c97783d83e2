/**
 * Steps that requests take together. A request whose answer is asked for waits here for its next token; when the engine is
 * free, those that wait are planned into one step. Nobody is waited for but for a turn of the event loop, in which those
 * that read their last token come back.
 */
import { abortError, type GlimtError } from "../errors.ts";
import { nextTask } from "../event-loop.ts";
import type { Decoder, SequenceSlice, SliceAnswer, SliceResult } from "../runtime/decoder.ts";
import type { GenerationRequest } from "./request.ts";
import type { ModelStatistics } from "./statistics.ts";
import { planStep, type StepCandidate, type StepLimits } from "./step-plan.ts";

export interface StepOptions {
  readonly signal: AbortSignal;
  /** Told how much of its slice is computed, 0..1; what it throws is what the step of its request throws. */
  readonly reportOf: (slice: SequenceSlice) => ((share: number) => void) | undefined;
}

/** Runs a task while nothing else uses the engine, and once more when memory ran out. @throws DISPOSED */
export type RunWithMemory = (task: () => Promise<void>) => Promise<void>;

export class StepBatcher {
  readonly #runWithMemory: RunWithMemory;
  readonly #limits: StepLimits;
  /** The longest waiting first. */
  readonly #waiting: WaitingRequest[] = [];
  readonly #underWay = new Set<GenerationRequest>();
  #isRunning = false;

  constructor(runWithMemory: RunWithMemory, limits: StepLimits) {
    this.#runWithMemory = runWithMemory;
    this.#limits = limits;
  }

  /** A request is under way, and may come for its next step soon. @returns what says that it ended */
  join(request: GenerationRequest): () => void {
    this.#underWay.add(request);
    return () => {
      this.#underWay.delete(request);
    };
  }

  get statistics(): Pick<ModelStatistics, "running" | "waiting"> {
    const running = [...this.#underWay].filter(({ holdsPages }) => holdsPages).length;
    return { running, waiting: this.#underWay.size - running };
  }

  /**
   * What comes of the request's next slice.
   *
   * @throws OUT_OF_MEMORY, ABORTED (at once, or in company behind the step that it is in), DISPOSED
   */
  step(decoder: Decoder, request: GenerationRequest, options: StepOptions): Promise<SliceAnswer> {
    return new Promise((resolve, reject) => {
      const waiting = new WaitingRequest(decoder, request, options, { resolve, reject });
      this.#waiting.push(waiting);
      waiting.onAbort(() => {
        if (this.#leave(waiting)) waiting.fail(abortError(options.signal));
      });
      if (!this.#isRunning) this.#runAll();
    });
  }

  async #runAll(): Promise<void> {
    this.#isRunning = true;
    while (this.#waiting.length > 0) await this.#runStep();
    this.#isRunning = false;
  }

  async #runStep(): Promise<void> {
    let step: Step | null = null;
    try {
      await this.#runWithMemory(async () => {
        step ??= await this.#nextStep();
        await step.run();
      });
    } catch (error) {
      if (step) (step as Step).failAll(error);
      else for (const waiting of this.#waiting.splice(0)) waiting.fail(error);
    }
  }

  async #nextStep(): Promise<Step> {
    if (this.#underWay.size > this.#waiting.length) await nextTask();
    const slices: [WaitingRequest, SequenceSlice][] = [];
    for (const { candidate, tokens } of planStep(this.#waiting, this.#limits)) {
      this.#leave(candidate);
      // One that can not be asked ends alone: the others would wait for ever.
      try {
        slices.push([candidate, candidate.request.nextSlice(tokens)]);
      } catch (error) {
        candidate.fail(error);
      }
    }
    return new Step(slices);
  }

  #leave(waiting: WaitingRequest): boolean {
    const index = this.#waiting.indexOf(waiting);
    if (index >= 0) this.#waiting.splice(index, 1);
    return index >= 0;
  }
}

interface Settling {
  readonly resolve: (answer: SliceAnswer) => void;
  readonly reject: (error: unknown) => void;
}

class WaitingRequest implements StepCandidate {
  readonly request: GenerationRequest;
  readonly programs: Decoder;
  readonly #options: StepOptions;
  readonly #settling: Settling;
  #listener: (() => void) | null = null;

  constructor(programs: Decoder, request: GenerationRequest, options: StepOptions, settling: Settling) {
    this.programs = programs;
    this.request = request;
    this.#options = options;
    this.#settling = settling;
  }

  get tokensToRead(): number {
    return this.request.tokensToRead;
  }

  get aborted(): boolean {
    return this.#options.signal.aborted;
  }

  reportOf(slice: SequenceSlice) {
    return this.#options.reportOf(slice);
  }

  /** In place of the listener before it. */
  onAbort(listener: () => void): void {
    this.#forget();
    this.#listener = listener;
    this.#options.signal.addEventListener("abort", listener);
    if (this.aborted) listener();
  }

  succeed(answer: SliceAnswer): void {
    this.#forget();
    this.#settling.resolve(answer);
  }

  /** With its own reason where it was aborted. */
  fail(error: unknown): void {
    this.#forget();
    this.#settling.reject(this.aborted ? abortError(this.#options.signal) : error);
  }

  #forget(): void {
    if (this.#listener) this.#options.signal.removeEventListener("abort", this.#listener);
    this.#listener = null;
  }
}

/** Requests and their slices, run together. Nobody hears of its end before it has ended: it uses what they hold. */
class Step {
  /** Of those that have no answer yet. */
  readonly #slices: Map<WaitingRequest, SequenceSlice>;
  /** What their callers threw when they were told how far it is. */
  readonly #thrown = new Map<WaitingRequest, unknown>();
  readonly #stop = new AbortController();

  constructor(slices: Iterable<[WaitingRequest, SequenceSlice]>) {
    this.#slices = new Map(slices);
    for (const waiting of this.#slices.keys()) waiting.onAbort(() => this.#stopWhenIdle());
  }

  /** Answers whom it can. @throws OUT_OF_MEMORY while there are others: they run when it is called again */
  async run(): Promise<void> {
    const members = [...this.#slices];
    const [first] = members;
    if (!first) return;
    const options = { signal: this.#stop.signal, onProgress: this.#progress(members) };
    const slices = members.map(([, slice]) => slice);
    const results = await first[0].programs.forward(slices, options);
    let outOfMemory: GlimtError | null = null;
    for (const [index, [waiting]] of members.entries()) {
      const result = results[index] as SliceResult;
      if (this.#thrown.has(waiting)) this.#fail(waiting, null);
      else if (!result.error) this.#succeed(waiting, result);
      else outOfMemory = result.error;
    }
    if (outOfMemory) throw outOfMemory;
  }

  /** All that are left. */
  failAll(error: unknown): void {
    for (const waiting of this.#slices.keys()) this.#fail(waiting, error);
  }

  #succeed(waiting: WaitingRequest, answer: SliceAnswer): void {
    this.#slices.delete(waiting);
    waiting.succeed(answer);
  }

  #fail(waiting: WaitingRequest, error: unknown): void {
    this.#slices.delete(waiting);
    waiting.fail(this.#thrown.has(waiting) ? this.#thrown.get(waiting) : error);
  }

  #progress(members: readonly [WaitingRequest, SequenceSlice][]) {
    const reports = members.map(([waiting, slice]) => [waiting, waiting.reportOf(slice)] as const);
    return (share: number) => {
      for (const [waiting, report] of reports) {
        if (this.#thrown.has(waiting)) continue;
        try {
          report?.(share);
        } catch (error) {
          this.#thrown.set(waiting, error);
          this.#stopWhenIdle();
        }
      }
    };
  }

  /** Nobody is left who waits for it. */
  #stopWhenIdle(): void {
    const isLeft = (waiting: WaitingRequest) => waiting.aborted || this.#thrown.has(waiting);
    if ([...this.#slices.keys()].every(isLeft)) this.#stop.abort();
  }
}
