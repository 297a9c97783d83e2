/** Lines are answered, many at once, and their answers written: in the order of the lines, or as they come. */
import { abortError, GlimtError } from "../errors.ts";
import { answerId } from "./answered-lines.ts";
import { endsModel, mayPass } from "./passing-errors.ts";
import type { BatchProgress } from "./progress.ts";
import { errorLine, type LineRequest, type LineResponse, readLine, responseLine } from "./request-line.ts";
import { Window } from "./window.ts";

/** What answers lines. */
export interface LineAnswerer {
  answer(request: LineRequest, context: LineContext): Promise<AnsweredLine>;
  /** What is answered in place of an answer that failed. */
  failure(error: unknown): LineResponse;
}

export interface LineContext {
  /** What the answer is called. */
  readonly id: string;
  /** For a request that names none: of the line, so that it is answered again as it was. */
  readonly seed: number;
  readonly signal: AbortSignal;
}

export interface AnsweredLine extends LineResponse {
  readonly promptTokens: number;
  readonly completionTokens: number;
}

export interface GivenLine {
  /** From 1. */
  readonly number: number;
  readonly key: number;
  /** Null for a line that is too long. */
  readonly bytes: Uint8Array | null;
}

export interface RunLimits {
  readonly concurrency: number;
  readonly unordered: boolean;
  readonly signal: AbortSignal | undefined;
  readonly stopSignal: AbortSignal | undefined;
  readonly onProgress: ((progress: BatchProgress) => void) | undefined;
}

/** What earlier runs have left. */
export type KnownCounts = Pick<BatchProgress, "lines" | "answered" | "failed">;

/** Of each line being answered: so far the others may be ahead of the one that is to be written next. */
const AHEAD = 4;
const MOST_BYTES = 256 * 2 ** 20;
const MOST_TRIES = 3;
const RETRY_MS = 1000;

export class LinesRun {
  readonly #answerer: LineAnswerer;
  readonly #limits: RunLimits;
  readonly #write: (line: string, isFailure: boolean) => Promise<void>;
  readonly #window: Window;
  readonly #end = new AbortController();
  readonly #start = performance.now();
  readonly #before: number;
  #progress: Omit<BatchProgress, "milliseconds" | "secondsLeft">;
  /** Why no more lines are answered. */
  #failure: unknown;
  /** In the order of lines: when the last one that was begun is written. */
  #written: Promise<void> = Promise.resolve();

  /** @param write a line of the output; it throws what ends the run */
  constructor(
    answerer: LineAnswerer,
    limits: RunLimits,
    known: KnownCounts,
    write: (line: string, isFailure: boolean) => Promise<void>,
  ) {
    this.#answerer = answerer;
    this.#limits = limits;
    this.#write = write;
    this.#before = known.answered;
    this.#progress = { ...known, promptTokens: 0, completionTokens: 0 };
    const { concurrency, unordered } = limits;
    this.#window = new Window({
      running: concurrency,
      begun: unordered ? concurrency : AHEAD * concurrency,
      bytes: MOST_BYTES,
    });
  }

  get progress(): BatchProgress {
    const milliseconds = performance.now() - this.#start;
    const { lines, answered } = this.#progress;
    const own = answered - this.#before;
    const left = lines - answered;
    const secondsLeft = left === 0 ? 0 : own === 0 ? null : (left * milliseconds) / own / 1000;
    return { ...this.#progress, milliseconds, secondsLeft };
  }

  /** @throws what ended it before all lines were answered; those under way are over then */
  async answerAll(lines: AsyncIterable<GivenLine>): Promise<void> {
    const { signal, stopSignal } = this.#limits;
    const abort = () => this.#fail(abortError(signal));
    const stop = () => this.#window.wake();
    signal?.addEventListener("abort", abort);
    stopSignal?.addEventListener("abort", stop);
    const underWay = new Set<Promise<void>>();
    try {
      if (signal?.aborted) abort();
      for await (const line of lines) {
        if (!(await this.#window.enter(line.bytes?.length ?? 0, () => this.#isOver()))) break;
        const answered = this.#answer(line);
        underWay.add(answered);
        answered.then(() => underWay.delete(answered));
      }
    } catch (error) {
      this.#fail(error);
    } finally {
      await Promise.all(underWay);
      signal?.removeEventListener("abort", abort);
      stopSignal?.removeEventListener("abort", stop);
    }
    if (this.#failure !== undefined) throw this.#failure;
  }

  #isOver(): boolean {
    return this.#failure !== undefined || this.#limits.stopSignal?.aborted === true;
  }

  #fail(error: unknown): void {
    this.#failure ??= error;
    this.#end.abort(error);
    this.#window.wake();
  }

  async #answer({ number, key, bytes }: GivenLine): Promise<void> {
    const before = this.#written;
    let wasWritten = () => {};
    if (!this.#limits.unordered) {
      this.#written = new Promise((resolve) => {
        wasWritten = resolve;
      });
    }
    try {
      const { text, ...counts } = await this.#lineOf(number, key, bytes).finally(() =>
        this.#window.answered(bytes?.length ?? 0),
      );
      if (!this.#limits.unordered) await before;
      // What stands before it in the order was not written.
      if (this.#failure !== undefined) return;
      await this.#write(text, counts.failed > 0);
      this.#count(counts);
    } catch (error) {
      // Before the next one is told that it may be written.
      this.#fail(error);
    } finally {
      this.#window.written();
      wasWritten();
    }
  }

  async #lineOf(number: number, key: number, bytes: Uint8Array | null): Promise<WrittenLine> {
    const id = answerId(number, key);
    const line = readLine(bytes);
    if ("error" in line) {
      return {
        text: errorLine(id, line.customId, line.error),
        failed: 1,
        promptTokens: 0,
        completionTokens: 0,
      };
    }
    const response = await this.#response(line.request, {
      id,
      seed: key % 2 ** 31,
      signal: this.#end.signal,
    });
    const { promptTokens, completionTokens } = response;
    const failed = response.status === 200 ? 0 : 1;
    return { text: responseLine(id, line.customId, response), failed, promptTokens, completionTokens };
  }

  async #response(request: LineRequest, context: LineContext): Promise<AnsweredLine> {
    const { signal } = context;
    for (let tries = 1; ; tries++) {
      try {
        return await this.#answerer.answer(request, context);
      } catch (error) {
        // Its line is answered by a later run.
        if (signal.aborted || endsModel(error)) throw error;
        if (!mayPass(error) || tries === MOST_TRIES) {
          return { ...this.#answerer.failure(error), promptTokens: 0, completionTokens: 0 };
        }
      }
      await delay(RETRY_MS * 4 ** (tries - 1), signal);
    }
  }

  #count({ failed, promptTokens, completionTokens }: Omit<WrittenLine, "text">): void {
    const before = this.#progress;
    this.#progress = {
      lines: before.lines,
      answered: before.answered + 1,
      failed: before.failed + failed,
      promptTokens: before.promptTokens + promptTokens,
      completionTokens: before.completionTokens + completionTokens,
    };
    this.#limits.onProgress?.(this.progress);
  }
}

interface WrittenLine {
  readonly text: string;
  readonly failed: 0 | 1;
  readonly promptTokens: number;
  readonly completionTokens: number;
}

/** @throws ABORTED */
async function delay(ms: number, signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(done, ms);
    function done(): void {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    }
    signal.addEventListener("abort", done);
  });
  if (signal.aborted) throw new GlimtError("ABORTED", "The batch was ended.", { cause: signal.reason });
}
