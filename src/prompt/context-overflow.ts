/** How much of the context a prompt takes, and one that leaves no room for an answer. */
import { GlimtError } from "../errors.ts";
import { numMediaRows, type PromptLayout } from "./layout.ts";
import { numPrunedRows } from "./pruned-media.ts";

export interface PromptSize {
  /** Rows that are read: without those that pruning leaves out. */
  readonly promptTokens: number;
  /** Of them, those that stand for pictures. */
  readonly visionTokens: number;
  /** Tokens that an answer may have. */
  readonly room: number;
}

/** @param context tokens that the model has positions for. @throws CONTEXT_OVERFLOW; INPUT_INVALID for an empty prompt */
export function promptSize(layout: PromptLayout, videoPruning: number, context: number): PromptSize {
  const prunedRows = numPrunedRows(layout, videoPruning);
  const promptTokens = layout.inputIds.length - prunedRows;
  const visionTokens = numMediaRows(layout) - prunedRows;
  const room = context - promptTokens;
  if (room < 1) throw contextOverflow(promptTokens, context, visionTokens);
  if (promptTokens === 0) throw new GlimtError("INPUT_INVALID", "The prompt is empty.");
  return { promptTokens, visionTokens, room };
}

export function contextOverflow(
  promptTokens: number | string,
  context: number,
  visionTokens: number,
): GlimtError {
  const advice =
    visionTokens > 0
      ? `${visionTokens} of them stand for pictures: lower maxImagePixels, of videos maxFrames, or raise videoPruning; or send fewer.`
      : "Shorten the text, or leave out earlier messages.";
  return new GlimtError(
    "CONTEXT_OVERFLOW",
    `The prompt has ${promptTokens} tokens and leaves no room in the context of ${context}. ${advice}`,
  );
}
