/** A prompt that leaves no room for an answer. */
import { GlimtError } from "../errors.ts";

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
