/** Answers as Ollama gives them: an object at once, or an object a line. */
import type { GenerationChoice, GenerationEvent, GenerationResult } from "../../serving/run-result.ts";
import type { TokenLogprob } from "../../serving/token-logprobs.ts";
import { OllamaCalls, type OllamaToolCall } from "./tool-calls.ts";

/** What an endpoint puts a piece of an answer into: `message` of a chat, `response` of a completion. */
export type PieceForm = (piece: AnswerPiece) => object;

export interface AnswerPiece {
  readonly content: string;
  readonly thinking: string;
  readonly calls: readonly OllamaToolCall[];
}

const NOTHING: AnswerPiece = { content: "", thinking: "", calls: [] };

export const chatForm: PieceForm = ({ content, thinking, calls }) => ({
  message: {
    role: "assistant",
    content,
    ...(thinking !== "" && { thinking }),
    ...(calls.length > 0 && { tool_calls: calls }),
  },
});

export const generateForm: PieceForm = ({ content, thinking }) => ({
  response: content,
  ...(thinking !== "" && { thinking }),
});

/** @param model as the request named it */
export function ollamaAnswer(result: GenerationResult, model: string, form: PieceForm): object {
  const calls = new OllamaCalls();
  for (const call of result.toolCalls) calls.add(call);
  const piece = { content: result.content, thinking: result.reasoning, calls: calls.take() };
  return {
    ...frame(model, piece, form),
    ...ending(result),
    ...(result.logprobs && { logprobs: result.logprobs.map(ollamaLogprob) }),
  };
}

/** Of a request that asks nothing, by which clients load a model: it is there. */
export function ollamaLoaded(model: string, form: PieceForm): object {
  return { ...frame(model, NOTHING, form), done: true, done_reason: "load" };
}

/**
 * A piece as it becomes certain, a call when it is whole, and the figures at the end.
 *
 * @param run is returned with the lines
 */
export async function* ollamaLines(
  run: AsyncGenerator<GenerationEvent, GenerationResult, void>,
  model: string,
  form: PieceForm,
): AsyncGenerator<object, void, void> {
  const calls = new OllamaCalls();
  const line = (piece: AnswerPiece, more: object = {}) => ({
    ...frame(model, piece, form),
    done: false,
    ...more,
  });
  let told = -1;
  try {
    let next = await run.next();
    for (; !next.done; next = await run.next()) {
      const event = next.value;
      const piece = pieceOf(event, calls);
      // A token may have several events.
      const logprob = event.index > told ? event.logprob : undefined;
      told = event.index;
      if (piece === null && !logprob) continue;
      yield line(piece ?? NOTHING, logprob && { logprobs: [ollamaLogprob(logprob)] });
    }
    const last = calls.take();
    if (last.length > 0) yield line({ ...NOTHING, calls: last });
    yield line(NOTHING, ending(next.value));
  } finally {
    await run.return(undefined as never);
  }
}

/** Null: nothing is certain yet. */
function pieceOf(event: GenerationEvent, calls: OllamaCalls): AnswerPiece | null {
  if (event.type === "toolCall") {
    if (event.toolCall) calls.push(event.toolCall);
    const whole = calls.takeWhole();
    return whole.length > 0 ? { ...NOTHING, calls: whole } : null;
  }
  const piece =
    event.type === "text"
      ? { ...NOTHING, content: event.content }
      : { ...NOTHING, thinking: event.reasoning };
  return piece.content === "" && piece.thinking === "" ? null : piece;
}

function frame(model: string, piece: AnswerPiece, form: PieceForm): object {
  return { model, created_at: new Date().toISOString(), ...form(piece) };
}

const NANOSECONDS = 1_000_000;

function ending({ finishReason, usage, timings }: GenerationChoice): object {
  const nanoseconds = (milliseconds: number) => Math.round(milliseconds * NANOSECONDS);
  return {
    done: true,
    done_reason: finishReason === "length" ? "length" : "stop",
    total_duration: nanoseconds(timings.total),
    load_duration: 0,
    prompt_eval_count: usage.promptTokens,
    prompt_eval_duration: nanoseconds(timings.vision + timings.prefill),
    eval_count: usage.completionTokens,
    eval_duration: nanoseconds(timings.decode),
  };
}

function ollamaLogprob({ text, logprob, top }: TokenLogprob): object {
  return {
    token: text,
    logprob,
    ...(top.length > 0 && {
      top_logprobs: top.map((other) => ({ token: other.text, logprob: other.logprob })),
    }),
  };
}
