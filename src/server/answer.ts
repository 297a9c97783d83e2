/** The running of a request for all protocols: whose turn it is, what answers, who hears of it. */
import type { Prompt } from "../api/model.ts";
import { type Asked, optionsWithin } from "../protocols/asked.ts";
import { problemOf } from "../protocols/errors.ts";
import type { GenerationEvent, GenerationResult } from "../serving/run-result.ts";
import type { AnswerObserver, ServerContext } from "./context.ts";
import type { RequestScope } from "./request-scope.ts";

export interface Answer {
  /** What answers, as it is served. */
  readonly model: string;
  /** The first of them is there already. To be read to the end, or returned. */
  readonly events: AsyncGenerator<GenerationEvent, GenerationResult, void>;
  /** Reads the events to their end. */
  result(): Promise<GenerationResult>;
}

/** @throws what is wrong with the request, before anything of its answer is there */
export async function openAnswer(
  asked: Asked,
  scope: RequestScope,
  { names, options: { policy }, admission, model, observers }: ServerContext,
): Promise<Answer> {
  const { name, adapter } = names.find(asked.model);
  const options = optionsWithin(asked, policy);
  const { signal } = scope;
  scope.note({ model: name });
  const watching = observers.map((observe) => observe(asked, name));
  const entered = performance.now();
  let leave = () => {};
  try {
    leave = await admission.enter(scope, options.n ?? 1, options.priority ?? 0);
    scope.onEnd(leave);
    scope.note({ queued: Math.round(performance.now() - entered) });
    for (const watcher of watching) watcher.began?.();
    const prompt = await promptOf(asked, model, signal);
    const run = model.generate(prompt, {
      ...options,
      ...(adapter !== null && { adapters: [adapter] }),
      signal,
    });
    // One that was left before its first event is read.
    scope.onEnd(() => run.abort());
    const first = await run.next();
    scope.note({ firstToken: Math.round(scope.milliseconds) });
    const events = watched(first, run, watching, scope, leave);
    return { model: name, events, result: () => resultOf(events) };
  } catch (error) {
    // Its request may go on, as one whose other pages can be read.
    leave();
    for (const watcher of watching) watcher.ended?.(null, problemOf(error));
    throw error;
  }
}

async function promptOf(
  { prompt }: Asked,
  model: ServerContext["model"],
  signal: AbortSignal,
): Promise<Prompt> {
  return "text" in prompt ? { inputIds: await model.tokenize(prompt.text, { signal }) } : prompt;
}

type Next = IteratorResult<GenerationEvent, GenerationResult>;

async function* watched(
  first: Next,
  run: AsyncGenerator<GenerationEvent, GenerationResult, void>,
  watching: readonly AnswerObserver[],
  scope: RequestScope,
  leave: () => void,
): AsyncGenerator<GenerationEvent, GenerationResult, void> {
  let result: GenerationResult | null = null;
  let failure: unknown = null;
  try {
    for (let next = first; ; next = await run.next()) {
      if (next.done) {
        result = next.value;
        scope.note(detailsOf(result));
        return result;
      }
      for (const watcher of watching) watcher.event?.(next.value);
      yield next.value;
    }
  } catch (error) {
    failure = error;
    throw error;
  } finally {
    await run.return(undefined as never);
    leave();
    for (const watcher of watching) watcher.ended?.(result, failure === null ? null : problemOf(failure));
  }
}

async function resultOf(
  events: AsyncGenerator<GenerationEvent, GenerationResult, void>,
): Promise<GenerationResult> {
  for (;;) {
    const next = await events.next();
    if (next.done) return next.value;
  }
}

function detailsOf({ usage, choices }: GenerationResult) {
  return {
    promptTokens: usage.promptTokens,
    cachedTokens: usage.cachedTokens,
    completionTokens: choices.reduce((total, choice) => total + choice.usage.completionTokens, 0),
    finishReasons: choices.map(({ finishReason }) => finishReason),
  };
}
