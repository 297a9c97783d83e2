/** Events of a run as stream parts. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { AnswerStream } from "../../src/ai/answer-stream.ts";
import type { StreamPart } from "../../src/ai/contract.ts";
import type { GenerationEvent, GenerationResult } from "../../src/serving/run-result.ts";

let index = 0;
const event = (more: object) => ({ index: index++, choice: 0, ...more }) as GenerationEvent;
const text = (content: string) => event({ type: "text", text: content, content });
const thought = (reasoning: string) => event({ type: "reasoning", text: reasoning, reasoning });
const call = (at: number, name: string | undefined, text: string) =>
  event({
    type: "toolCall",
    text,
    toolCall: { index: at, id: `c${at}`, ...(name && { name }), arguments: text },
  });
const noCall = () => event({ type: "toolCall", text: "<tool_call>", toolCall: null });

const result = (finishReason = "stop") =>
  ({
    finishReason,
    seed: 1,
    boxed: null,
    timings: { total: 1 },
    usage: { promptTokens: 10, visionTokens: 4, cachedTokens: 3, completionTokens: 8 },
  }) as unknown as GenerationResult;

function parts(events: readonly GenerationEvent[], finishReason?: string): StreamPart[] {
  const stream = new AnswerStream();
  return [...events.flatMap((each) => stream.push(each)), ...stream.end(result(finishReason))];
}

const names = (all: readonly StreamPart[]) =>
  all.map((part) =>
    "delta" in part
      ? `${part.type} ${part.id} ${part.delta}`
      : "id" in part
        ? `${part.type} ${part.id}`
        : part.type,
  );

test("thinking, text and calls are blocks, each closed before the next", () => {
  const all = parts([
    thought(""),
    thought("Hm"),
    thought("."),
    text("A"),
    text(""),
    text("B"),
    noCall(),
    call(0, "look", ""),
    call(0, undefined, '{"a":'),
    call(0, undefined, "1}"),
    call(1, "see", "{}"),
  ]);
  assert.equal(names(all), [
    "reasoning-start 0",
    "reasoning-delta 0 Hm",
    "reasoning-delta 0 .",
    "reasoning-end 0",
    "text-start 1",
    "text-delta 1 A",
    "text-delta 1 B",
    "text-end 1",
    "tool-input-start c0",
    'tool-input-delta c0 {"a":',
    "tool-input-delta c0 1}",
    "tool-input-end c0",
    "tool-call",
    "tool-input-start c1",
    "tool-input-delta c1 {}",
    "tool-input-end c1",
    "tool-call",
    "finish",
  ]);
  const calls = all.filter((part) => part.type === "tool-call");
  assert.equal(calls, [
    { type: "tool-call", toolCallId: "c0", toolName: "look", input: '{"a":1}' },
    { type: "tool-call", toolCallId: "c1", toolName: "see", input: "{}" },
  ]);
});

test("the end tells of tokens by kind", () => {
  const held = thought("a");
  const all = parts([held, { ...held, ...text("b"), index: held.index }, thought("c")]);
  const { usage, finishReason, providerMetadata } = all.at(-1) as Extract<StreamPart, { type: "finish" }>;
  assert.equal(usage, {
    inputTokens: { total: 10, noCache: 7, cacheRead: 3, cacheWrite: undefined },
    outputTokens: { total: 8, text: 6, reasoning: 2 },
    raw: { promptTokens: 10, visionTokens: 4, cachedTokens: 3, completionTokens: 8 },
  });
  assert.equal(finishReason, { unified: "stop", raw: "stop" });
  assert.equal(providerMetadata?.glimt?.visionTokens, 4);
});

test("a call that the end cut off is no call", () => {
  const all = parts([call(0, "look", '{"a":')], "length");
  assert.equal(names(all), [
    "tool-input-start c0",
    'tool-input-delta c0 {"a":',
    "tool-input-end c0",
    "finish",
  ]);
  assert.equal((all.at(-1) as { finishReason: object }).finishReason, { unified: "length", raw: "length" });
});

const ENDS: readonly [finishReason: string, calls: GenerationEvent[], unified: string][] = [
  ["stop", [], "stop"],
  ["length", [], "length"],
  ["repetition", [], "other"],
  ["stop", [call(0, "look", "{}")], "tool-calls"],
];
for (const [raw, events, unified] of ENDS) {
  test(`an answer that ends by ${raw} with ${events.length} calls`, () => {
    const end = parts(events, raw).at(-1) as Extract<StreamPart, { type: "finish" }>;
    assert.equal(end.finishReason, { unified, raw });
  });
}

test.run();
