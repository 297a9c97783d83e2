/** Answers of /v1/completions: whole, and as they come. */
import type { GenerationEvent, GenerationResult } from "../../serving/run-result.ts";
import type { AnswerName } from "./chat-response.ts";
import { completionLogprobs } from "./completion-logprobs.ts";
import type { CompletionAsked } from "./completion-request.ts";
import { RunningUsage, resultUsage, type Usage } from "./usage.ts";

/** @param results one a prompt. @param prompts their texts where they are echoed, else none */
export function writeCompletion(
  results: readonly GenerationResult[],
  prompts: readonly string[],
  { id, model, created }: AnswerName,
) {
  return {
    id,
    object: "text_completion",
    created,
    model,
    choices: results.flatMap((result, prompt) =>
      result.choices.map(({ text, finishReason, logprobs }, choice) => ({
        index: prompt * result.choices.length + choice,
        text: (prompts[prompt] ?? "") + text,
        logprobs: logprobs ? completionLogprobs(logprobs, 0) : null,
        finish_reason: finishReason,
      })),
    ),
    usage: joined(results.map(resultUsage)),
  };
}

type PromptEvent = { readonly index: number; readonly item: GenerationEvent };

/** @param events of the answers to all prompts, by their places; they are returned with it */
export async function* completionChunks(
  events: AsyncGenerator<PromptEvent, unknown, void>,
  prompts: readonly string[],
  { asked, usage }: CompletionAsked,
  { id, model, created }: AnswerName,
): AsyncGenerator<object, void, void> {
  const choicesEach = asked[0]?.options.n ?? 1;
  const running = asked.map(() => new RunningUsage());
  /** Letters that were told of a choice, and tokens whose probability was. */
  const told = new Map<number, { letters: number; tokens: number }>();
  const used = () => joined(running.map((each) => each.usage));
  const chunk = (choices: readonly object[], tokens: Usage | null) => ({
    id,
    object: "text_completion",
    created,
    model,
    choices,
    ...(usage.atEnd && { usage: tokens }),
  });
  for await (const { index: prompt, item: event } of events) {
    running[prompt]?.take(event);
    const { text, finishReason, logprob } = event;
    const index = prompt * choicesEach + event.choice;
    const state = told.get(index) ?? { letters: 0, tokens: 0 };
    const start = told.has(index) ? "" : (prompts[prompt] ?? "");
    told.set(index, state);
    const isNew = logprob !== undefined && event.index >= state.tokens;
    const logprobs = isNew ? completionLogprobs([logprob], state.letters) : null;
    if (isNew) state.tokens = event.index + 1;
    state.letters += logprob?.text.length ?? 0;
    const said = start + text;
    if (said === "" && !logprobs && finishReason === null) continue;
    yield chunk([{ index, text: said, logprobs, finish_reason: finishReason }], usage.always ? used() : null);
  }
  if (usage.atEnd) yield chunk([], used());
}

/** Of all prompts. */
function joined(usages: readonly Usage[]): Usage {
  return usages.reduce((total, usage) => ({
    prompt_tokens: total.prompt_tokens + usage.prompt_tokens,
    completion_tokens: total.completion_tokens + usage.completion_tokens,
    total_tokens: total.total_tokens + usage.total_tokens,
    prompt_tokens_details: {
      cached_tokens: total.prompt_tokens_details.cached_tokens + usage.prompt_tokens_details.cached_tokens,
    },
  }));
}
