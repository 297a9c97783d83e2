/** What one request gives: a piece a token, and the whole at the end. */
import type { GenerationTimings } from "./stage-clock.ts";
import type { TokenLogprob } from "./token-logprobs.ts";

/** One token, and the text that became certain with it (it may be empty, or hold several characters). */
export interface GeneratedPiece {
  readonly text: string;
  readonly tokenId: number;
  /** 0 for the first new token. */
  readonly index: number;
  /** Why the answer ends with it; null while it goes on. */
  readonly finishReason: FinishReason | null;
  /** With option `logprobs`. */
  readonly logprob?: TokenLogprob;
}

export type FinishReason = "stop" | "length" | "repetition";

export interface RequestResult {
  readonly text: string;
  /** Every new token, the one that ended the text included. */
  readonly tokenIds: readonly number[];
  /** "stop": an end-of-sequence token or a stop string; "length": maxTokens or the context was reached; "repetition": what `repetitionDetection` looks for. */
  readonly finishReason: FinishReason;
  readonly usage: {
    readonly promptTokens: number;
    /** Of the prompt: tokens that stand for pictures. */
    readonly visionTokens: number;
    readonly completionTokens: number;
    /** Of the prompt: tokens whose keys and values were there from requests before, and were not computed again. */
    readonly cachedTokens: number;
  };
  readonly timings: GenerationTimings;
  readonly seed: number;
  /** The ten largest logits at the last prompt position. */
  readonly topLogits: readonly (readonly [tokenId: number, logit: number])[];
  /** One a token, with option `logprobs`. */
  readonly logprobs?: readonly TokenLogprob[];
}
