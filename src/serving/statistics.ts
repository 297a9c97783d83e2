/** What a model has under way, and what it has counted since it was loaded: each number is its owner's. */
import type { EncoderCacheFigures } from "../runtime/encoder-cache.ts";
import type { PrefixFigures } from "../runtime/kv-pool.ts";
import type { ModelCore } from "./model-core.ts";

/** What a model has under way, and what it has counted since it was loaded. */
export interface ModelStatistics {
  /** Requests under way that hold pages of the KV cache. */
  readonly running: number;
  /** Requests under way that hold none: they wait for their first step, or for memory. */
  readonly waiting: number;
  /** Most requests that a step is shared by: further ones wait. */
  readonly maxSequences: number;
  /** Turns of the loop that were taken since: steps of the decoder, and those in which only pictures were encoded. */
  readonly steps: number;
  /** Times that a request gave its pages back for others, to read itself again. */
  readonly preemptions: number;
  /** Pages of the KV cache. It grows when more are asked for than are free. */
  readonly pages: {
    /** Free and held together. */
    readonly total: number;
    /** Held by no request; they may hold what later ones find. */
    readonly free: number;
  };
  /** Guesses that were read, and of them those that were right. */
  readonly drafts: {
    /** Steps of answers that had guesses. */
    readonly rounds: number;
    /** Guesses that were read. */
    readonly drafted: number;
    /** Of them, those that were right. */
    readonly accepted: number;
    /** Those that were right by their place among the guesses of a step, from the first. */
    readonly acceptedByPlace: readonly number[];
  };
  /** What came of looking for what requests before have computed. */
  readonly prefixCache: PrefixFigures;
  /** What came of looking for features of pictures and videos. */
  readonly encoderCache: EncoderCacheFigures;
}

export function modelStatistics({ parts, steps }: ModelCore): ModelStatistics {
  const { numPages, numFreePages, prefixes } = parts.pool;
  const { rounds, drafted, accepted, acceptedByPlace } = parts.drafts;
  return {
    ...steps.statistics,
    maxSequences: parts.maxSequences,
    pages: { total: numPages, free: numFreePages },
    drafts: { rounds, drafted, accepted, acceptedByPlace: [...acceptedByPlace] },
    prefixCache: prefixes,
    encoderCache: parts.encoderCache.figures,
  };
}
