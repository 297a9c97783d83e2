/** What a loaded model is made of; generation and the encoding of media work on it. */

import type { OpenFiles } from "../checkpoint/location.ts";
import { GlimtError } from "../errors.ts";
import type { Stages } from "../runtime/open-stages.ts";
import { isOutOfMemory } from "../runtime/out-of-memory.ts";
import { releaseRunners } from "../runtime/stage-runners.ts";
import { type AdapterFacts, Adapters } from "./adapters.ts";
import type { AnswerContext } from "./answer-context.ts";
import { SerialQueue } from "./serial-queue.ts";
import type { DraftCounts } from "./speculation.ts";
import { StepBatcher } from "./step-batcher.ts";
import { StepMemory } from "./step-memory.ts";

export interface ModelParts extends Stages, AnswerContext {
  readonly openFiles: OpenFiles;
  /** Adapters that are part of the weights. */
  readonly merged: readonly AdapterFacts[];
  /** Most tokens of one prompt in a run of the decoder. */
  readonly prefillChunk: number;
  /** Most tokens in one run of the decoder. */
  readonly maxBatchedTokens: number;
  /** Most requests in one run of the decoder. */
  readonly maxSequences: number;
  readonly drafts: DraftCounts;
  /** Whether requests share pages of the KV cache. */
  readonly prefixCache: boolean;
}

export class ModelCore {
  readonly parts: ModelParts;
  readonly adapters: Adapters;
  readonly steps: StepBatcher;
  readonly #queue = new SerialQueue();
  /** Of the requests under way. One for all would have a listener for each, of which Node.js 20 warns from the eleventh on. */
  readonly #stops = new Set<AbortController>();
  #disposed = false;
  /** When all is free. */
  #freed: Promise<void> | undefined;

  constructor(parts: ModelParts) {
    this.parts = parts;
    const { openFiles, merged } = parts;
    const run = <T>(task: () => Promise<T>) => this.runWithMemory(task);
    this.adapters = new Adapters({ stages: parts, openFiles, merged, run });
    const memory = new StepMemory({
      ...parts,
      trim: () => this.#trim(),
      isDisposed: () => this.#disposed,
    });
    this.steps = new StepBatcher((task) => this.run(task), memory, {
      maxTokens: parts.maxBatchedTokens,
      maxPromptTokens: parts.prefillChunk,
      maxSequences: parts.maxSequences,
    });
  }

  get disposed(): boolean {
    return this.#disposed;
  }

  /**
   * A request is under way.
   *
   * @returns a signal that fires when the given one does, and when the model is disposed; and what says that it ended
   */
  enter(signal: AbortSignal | undefined): { readonly signal: AbortSignal; readonly leave: () => void } {
    const stop = new AbortController();
    if (this.#disposed) stop.abort();
    else this.#stops.add(stop);
    return {
      signal: signal ? AbortSignal.any([signal, stop.signal]) : stop.signal,
      leave: () => this.#stops.delete(stop),
    };
  }

  /** One engine call at a time, in the order asked. @throws DISPOSED */
  run<T>(task: () => Promise<T>): Promise<T> {
    return this.#queue.run(() => {
      this.throwIfDisposed();
      return task();
    });
  }

  /**
   * The same for a task that may run out of memory and leaves nothing behind then: it is tried once more when what is kept
   * for later requests was given back, since free memory may lie in pieces between that.
   */
  runWithMemory<T>(task: () => Promise<T>): Promise<T> {
    return this.run(async () => {
      try {
        return await task();
      } catch (error) {
        if (!isOutOfMemory(error)) throw error;
        this.throwIfDisposed();
        this.#trim();
        return task();
      }
    });
  }

  /** Gives back what is kept for later requests and not in use. @throws DISPOSED */
  trimMemory(): Promise<void> {
    return this.run(async () => this.#trim());
  }

  #trim(): void {
    const { engine, pool, encoderCache, ...runners } = this.parts;
    releaseRunners(runners);
    this.adapters.releaseRunners();
    encoderCache.trim();
    engine.trim?.();
    pool.trim();
  }

  throwIfDisposed(): void {
    if (this.disposed) throw new GlimtError("DISPOSED", "The model was disposed; load it again to use it.");
  }

  /** Stops what runs now at its next pause, then frees everything. Whoever calls it waits until all is free. */
  dispose(): Promise<void> {
    this.#disposed = true;
    this.#freed ??= Promise.resolve().then(() => this.#free());
    return this.#freed;
  }

  async #free(): Promise<void> {
    for (const stop of this.#stops) stop.abort();
    this.#stops.clear();
    await this.#queue.idle();
    this.parts.engine.dispose();
  }
}
