/** The events of one answer: each token's piece in its parts. */
import type { AnswerParser } from "../text/answer/answer-parser.ts";
import type { AnswerPart } from "../text/answer/parts.ts";
import type { GeneratedPiece, RequestResult } from "./generation-result.ts";
import type { GenerationChoice, GenerationEvent } from "./run-result.ts";

/** @param pieces are returned with it */
export async function* choiceEvents(
  pieces: AsyncGenerator<GeneratedPiece, RequestResult, void>,
  parser: AnswerParser,
  choice: number,
): AsyncGenerator<GenerationEvent, GenerationChoice, void> {
  try {
    for (;;) {
      const { value: piece, done } = await pieces.next();
      if (done) return choiceOf(piece, parser);
      if (piece.finishReason === null) {
        for (const part of parser.push([piece.tokenId], piece.text)) yield eventOf(piece, part, choice);
        continue;
      }
      const parts = parser.pushLast([piece.tokenId], piece.text);
      const last = parts.pop() as AnswerPart;
      for (const part of parts) yield { ...eventOf(piece, part, choice), finishReason: null };
      const { value: result } = (await pieces.next()) as IteratorReturnResult<RequestResult>;
      yield { ...eventOf(piece, last, choice), usage: result.usage };
      return choiceOf(result, parser);
    }
  } finally {
    await pieces.return(undefined as never);
  }
}

function eventOf(piece: GeneratedPiece, part: AnswerPart, choice: number): GenerationEvent {
  return { ...piece, choice, usage: null, ...part };
}

function choiceOf(
  result: RequestResult,
  { reasoning, content, boxed, toolCalls }: AnswerParser,
): GenerationChoice {
  return { ...result, reasoning, content, boxed, toolCalls };
}
