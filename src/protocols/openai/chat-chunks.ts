/** A chat's answer as it comes: OpenAI's chunks. */
import type { GenerationEvent, GenerationResult } from "../../serving/run-result.ts";
import { chatLogprob } from "./chat-logprobs.ts";
import type { ChatAsked } from "./chat-request.ts";
import { type AnswerName, finishReason } from "./chat-response.ts";
import { RunningUsage, resultUsage } from "./usage.ts";

type Delta = Readonly<Record<string, unknown>>;

/** Of one choice: what was told of it. */
interface Told {
  /** Index of the last token whose probability was told. */
  logprobs: number;
  hasCalls: boolean;
}

/** @param events are returned with it */
export async function* chatChunks(
  events: AsyncGenerator<GenerationEvent, GenerationResult, void>,
  asked: ChatAsked,
  { id, model, created }: AnswerName,
): AsyncGenerator<object, void, void> {
  const told = new Map<number, Told>();
  const running = new RunningUsage();
  const chunk = (choices: readonly object[], usage: object | null = null) => ({
    id,
    object: "chat.completion.chunk",
    created,
    model,
    choices,
    ...(asked.usage.atEnd && { usage }),
  });
  try {
    for (;;) {
      const { value, done } = await events.next();
      if (done) {
        if (asked.usage.atEnd) yield chunk([], resultUsage(value));
        return;
      }
      running.take(value);
      const usage = asked.usage.always ? running.usage : null;
      for (const choice of choicesOf(value, asked, told)) yield chunk([choice], usage);
    }
  } finally {
    await events.return(undefined as never);
  }
}

/** What a token says of its choice: nothing, something, and that it ends. */
function choicesOf(event: GenerationEvent, asked: ChatAsked, told: Map<number, Told>): object[] {
  const index = event.choice;
  const choices: object[] = [];
  let state = told.get(index);
  if (!state) {
    state = { logprobs: -1, hasCalls: false };
    told.set(index, state);
    choices.push(choiceOf(index, { role: "assistant", content: "" }));
  }
  const delta = deltaOf(event, asked);
  if (delta?.tool_calls) state.hasCalls = true;
  const isNew = event.logprob !== undefined && event.index > state.logprobs;
  if (isNew) state.logprobs = event.index;
  const logprobs = isNew && event.logprob ? { content: [chatLogprob(event.logprob)], refusal: null } : null;
  if (delta || logprobs) choices.push(choiceOf(index, delta ?? {}, logprobs));
  if (event.finishReason !== null) {
    choices.push(choiceOf(index, {}, null, finishReason(event.finishReason, state.hasCalls)));
  }
  return choices;
}

function choiceOf(index: number, delta: Delta, logprobs: object | null = null, reason: string | null = null) {
  return { index, delta, logprobs, finish_reason: reason };
}

/** Null: nothing. */
function deltaOf(event: GenerationEvent, asked: ChatAsked): Delta | null {
  if (event.type === "text") return event.content === "" ? null : { content: event.content };
  if (event.type === "reasoning") {
    const { reasoning } = event;
    return reasoning === "" || !asked.reasoning ? null : { reasoning, reasoning_content: reasoning };
  }
  const call = event.toolCall;
  if (!call || (!asked.parallelToolCalls && call.index > 0)) return null;
  const { index, id, name, arguments: text } = call;
  if (name === undefined)
    return text === "" ? null : { tool_calls: [{ index, function: { arguments: text } }] };
  return { tool_calls: [{ index, id, type: "function", function: { name, arguments: text } }] };
}
