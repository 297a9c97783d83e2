/** What one request gives: a piece a token, and the whole at the end. */
import type { GenerationTimings } from "./stage-clock.ts";
import type { TokenLogprob } from "./token-logprobs.ts";

/** One token, and the text that became certain with it (it may be empty, or hold several characters). */
export interface GeneratedPiece {
  /** The answer's text as it is, with its markup. */
  readonly text: string;
  /** The token. */
  readonly tokenId: number;
  /** 0 for the first new token. */
  readonly index: number;
  /** Why the answer ends with it; null while it goes on. */
  readonly finishReason: FinishReason | null;
  /** With option `logprobs`. */
  readonly logprob?: TokenLogprob;
  /**
   * With option `attention`: how much the row that the token was chosen by attends, in the last layer, to each token of the
   * prompt and of the answer before it: the mean over heads, which sums to 1. Rows that `videoPruning` left out have 0.
   * `attentionOverMedia` has the part of each image and video.
   */
  readonly attention?: Float32Array;
  /** With the first token of an answer. */
  readonly prompt?: PromptUsage;
}

/** Of the prompt. */
export interface PromptUsage {
  /** Tokens of the prompt. */
  readonly promptTokens: number;
  /** Tokens that stand for pictures. */
  readonly visionTokens: number;
  /** Tokens whose keys and values were there from requests before, and were not computed again. */
  readonly cachedTokens: number;
}

/** Why an answer ended: see `GenerationChoice.finishReason`. */
export type FinishReason = "stop" | "length" | "repetition";

/** An answer as it is, and what it took. */
export interface RequestResult {
  /** The answer as it is, with its markup. */
  readonly text: string;
  /** Every new token, the one that ended the text included. */
  readonly tokenIds: readonly number[];
  /** "stop": an end-of-sequence token or a stop string; "length": maxTokens or the context was reached; "repetition": what `repetitionDetection` looks for. */
  readonly finishReason: FinishReason;
  /** The string of option `stop` that ended it; null where another end did. */
  readonly matchedStop: string | null;
  /** Tokens that were read and generated. */
  readonly usage: PromptUsage & {
    /** Tokens of the answer. */
    readonly completionTokens: number;
  };
  /** Where the time went. */
  readonly timings: GenerationTimings;
  /** What its random numbers began with. */
  readonly seed: number;
  /** The ten largest logits at the last prompt position. */
  readonly topLogits: readonly (readonly [tokenId: number, logit: number])[];
  /** One a token, with option `logprobs`. */
  readonly logprobs?: readonly TokenLogprob[];
}
