/** Runs of answers that were made by hand: what writers of protocols are given. */
import type { GenerationEvent, GenerationResult } from "../../src/serving/run-result.ts";
import type { AnswerPart } from "../../src/text/answer/parts.ts";

export const text = (content: string): AnswerPart => ({ type: "text", text: content, content, boxed: false });
export const thought = (reasoning: string): AnswerPart => ({ type: "reasoning", text: reasoning, reasoning });
export const call = (index: number, argumentsText: string, name?: string): AnswerPart => ({
  type: "toolCall",
  text: argumentsText,
  toolCall: { index, id: `call_${index}`, arguments: argumentsText, ...(name !== undefined && { name }) },
});

export function resultOf(given: Partial<GenerationResult> = {}): GenerationResult {
  const result = {
    text: "",
    content: "",
    reasoning: "",
    boxed: null,
    toolCalls: [],
    tokenIds: [],
    finishReason: "stop",
    matchedStop: null,
    usage: { promptTokens: 10, visionTokens: 0, completionTokens: 4, cachedTokens: 3 },
    timings: { vision: 1, prefill: 2, decode: 3.5, total: 7 },
    seed: 0,
    topLogits: [],
    ...given,
  } as const;
  return { ...result, choices: [result] };
}

/** One event a part, as of tokens one after another. */
export async function* runOf(
  parts: readonly AnswerPart[],
  result: GenerationResult,
): AsyncGenerator<GenerationEvent, GenerationResult, void> {
  for (const [index, part] of parts.entries()) {
    const event = { ...part, tokenId: index, index, choice: 0, finishReason: null, usage: null };
    yield index === 0 ? { ...event, prompt: result.usage } : event;
  }
  return result;
}

export async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

/** The words of what it throws. */
export function messageOf(task: () => unknown): string {
  try {
    task();
  } catch (error) {
    return (error as Error).message;
  }
  return "";
}
