/** What a run gives: events as tokens come, and the whole at the end. */
import type { AnsweredCall } from "../text/answer/answer-parser.ts";
import type { ReasoningPart, TextPartOfAnswer, ToolCallPart } from "../text/answer/parts.ts";
import type { GeneratedPiece, RequestResult } from "./generation-result.ts";

/**
 * Of one token. A token has one event; it has several, with the same `index`, where a stop string held back text of several
 * kinds until it came. The texts of all events of a choice are its text.
 */
export interface TokenEvent extends GeneratedPiece {
  /** Which of the `n` answers it belongs to, from 0. */
  readonly choice: number;
  /** With the last event of a choice. */
  readonly usage: RequestResult["usage"] | null;
}

/** Something is said. */
export interface TextEvent extends TokenEvent, TextPartOfAnswer {}
/** Something is thought. */
export interface ReasoningEvent extends TokenEvent, ReasoningPart {}
/** A tool is called. */
export interface ToolCallEvent extends TokenEvent, ToolCallPart {}

/** By `type`: what is said, what is thought, a call of a tool. `text` is of the answer as it is, with its markup. */
export type GenerationEvent = TextEvent | ReasoningEvent | ToolCallEvent;

/** One of the answers: as it is (`text`), and its parts without their markup. */
export interface GenerationChoice extends RequestResult {
  /** What was thought before the answer; "" when nothing was. */
  readonly reasoning: string;
  /** What is said beside thinking and calls. */
  readonly content: string;
  /** The text of the last boxed answer (`<|begin_of_box|>`…) in the content; null when there is none. */
  readonly boxed: string | null;
  /** Of tools that the prompt offers. */
  readonly toolCalls: readonly AnsweredCall[];
}

/** The first answer, and all of them. */
export interface GenerationResult extends GenerationChoice {
  /** All answers, of which the first is this one. */
  readonly choices: readonly GenerationChoice[];
}
