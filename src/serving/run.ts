/** A run: what `generate` gives. Its events may be read, its result awaited, or both; and it may be aborted. */
/// <reference lib="esnext.disposable" preserve="true" />
import { abortError, GlimtError } from "../errors.ts";
import type { GenerationEvent, GenerationResult } from "./run-result.ts";

/** How far a run may be ahead of its reader: one that is read no more holds no steps. */
const MOST_EVENTS_AHEAD = 64;

type Events = AsyncGenerator<GenerationEvent, GenerationResult, void>;
type End = { readonly result: GenerationResult } | { readonly error: unknown };

/**
 * It starts at the first `next()`, or when `result` is read: what is wrong with the request is thrown there. While only its
 * events are read it goes on when it is asked to. When `result` was read it goes on by itself, at most 64 events ahead of
 * its reader if it has one; events wait for who reads them later. Leaving a `for await` loop ends it. A run that nobody
 * holds any more gives back what it has; an error that nobody asked for is told to nobody.
 */
export class GenerationRun implements AsyncGenerator<GenerationEvent, GenerationResult, void> {
  readonly #source: Events;
  readonly #stop = new AbortController();
  readonly #events: GenerationEvent[] = [];
  #end: End | null = null;
  /** Whether the reader was told of the end. */
  #isTold = false;
  #isRead = false;
  #advancing: Promise<void> | null = null;
  /** One `next` after the other. */
  #reading: Promise<unknown> = Promise.resolve();
  #result: Promise<GenerationResult> | null = null;
  #goOn: () => void = () => {};

  /**
   * @param open what it runs, not started; it ends when the controller's signal fires. It may abort the run, as who has that can:
   * when the caller's own signal fires, so that events that wait to be read are dropped then
   */
  constructor(open: (stop: AbortController, abort: (reason: unknown) => void) => Events) {
    // What it runs is not to hold the run, which ends when nobody else does.
    const run = new WeakRef(this);
    this.#source = open(this.#stop, (reason) => run.deref()?.abort(reason));
  }

  /** The whole answer, when it is there; ABORTED when the run was left or aborted before. */
  get result(): Promise<GenerationResult> {
    this.#result ??= this.#runToEnd();
    // It may be awaited later, or never.
    this.#result.catch(() => undefined);
    return this.#result;
  }

  /** The next event; it starts the run. */
  next(): Promise<IteratorResult<GenerationEvent, GenerationResult>> {
    this.#isRead = true;
    const read = this.#reading.then(() => this.#next());
    this.#reading = read.catch(() => undefined);
    return read;
  }

  /** Ends the run, which `result` says with ABORTED; its memory is free when this resolves. */
  async return(
    value?: GenerationResult | PromiseLike<GenerationResult>,
  ): Promise<IteratorReturnResult<GenerationResult>> {
    this.#isTold = true;
    await this.#close(new GlimtError("ABORTED", "The run was left before its end."));
    return { done: true, value: (await value) as GenerationResult };
  }

  /** Ends the run with an error. */
  async throw(error: unknown): Promise<IteratorResult<GenerationEvent, GenerationResult>> {
    this.#isTold = true;
    await this.#close(error);
    throw error;
  }

  /** Ends the run: `next()` and `result` say ABORTED. Behind its end it does nothing. */
  abort(reason?: unknown): void {
    if (this.#end) return;
    this.#stop.abort(reason);
    // What it holds goes though nobody reads on.
    this.#close(abortError(this.#stop.signal));
  }

  /** The run itself: `for await (const event of run)`. */
  [Symbol.asyncIterator](): this {
    return this;
  }

  /** As `return`, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  async #next(): Promise<IteratorResult<GenerationEvent, GenerationResult>> {
    while (this.#events.length === 0 && !this.#end) await this.#advance();
    const event = this.#events.shift();
    this.#goOn();
    if (event) return { done: false, value: event };
    if (this.#isTold) return { done: true, value: undefined as never };
    this.#isTold = true;
    return { done: true, value: resultOf(this.#end as End) };
  }

  async #runToEnd(): Promise<GenerationResult> {
    while (!this.#end) {
      if (!this.#isRead || this.#events.length < MOST_EVENTS_AHEAD) await this.#advance();
      else {
        await new Promise<void>((resolve) => {
          this.#goOn = resolve;
        });
      }
    }
    return resultOf(this.#end);
  }

  /** One event more, or the end. */
  #advance(): Promise<void> {
    this.#advancing ??= this.#source
      .next()
      .then(
        ({ value, done }) => {
          if (done) this.#end ??= { result: value };
          else if (!this.#end) this.#events.push(value);
        },
        (error) => {
          this.#end ??= { error };
        },
      )
      .finally(() => {
        this.#advancing = null;
      });
    return this.#advancing;
  }

  async #close(error: unknown): Promise<void> {
    this.#end ??= { error };
    this.#events.length = 0;
    this.#goOn();
    this.#stop.abort();
    await this.#source.return(undefined as never).catch(() => undefined);
  }
}

function resultOf(end: End): GenerationResult {
  if ("error" in end) throw end.error;
  return end.result;
}
