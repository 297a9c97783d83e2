/** Thinking, calls and ends of answers as OpenAI's objects and streams tell them. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { chatChunks } from "../../src/protocols/openai/chat-chunks.ts";
import { readChatRequest } from "../../src/protocols/openai/chat-request.ts";
import { writeChatCompletion } from "../../src/protocols/openai/chat-response.ts";
import { responseEvents } from "../../src/protocols/openai/responses/response-events.ts";
import { writeResponse } from "../../src/protocols/openai/responses/response-object.ts";
import { readResponseRequest } from "../../src/protocols/openai/responses/response-request.ts";
import type { GenerationEvent, GenerationResult } from "../../src/serving/run-result.ts";
import { all, call, messageOf, resultOf, runOf, text, thought } from "./run-events.ts";

const NAME = { id: "id", model: "demo", created: 1 };
const PARTS = [
  thought("Hm"),
  thought("."),
  text("Two"),
  call(0, "", "save"),
  call(0, '{"row"'),
  call(0, ":1}"),
];
const AND_MORE = [...PARTS, call(1, "{}", "again")];
const CALLS = [
  { id: "call_0", name: "save", arguments: '{"row":1}' },
  { id: "call_1", name: "again", arguments: "{}" },
];
const RESULT = resultOf({ reasoning: "Hm.", content: "Two", toolCalls: CALLS });

/** With the end that a run has. */
async function* ended(): AsyncGenerator<GenerationEvent, GenerationResult, void> {
  const events = runOf(AND_MORE, RESULT);
  for (let count = 1; ; count++) {
    const next = await events.next();
    if (next.done) return next.value;
    yield count < AND_MORE.length ? next.value : { ...next.value, finishReason: "stop", usage: RESULT.usage };
  }
}

const MESSAGES = [{ role: "user", content: "?" }];
type Delta = Record<string, unknown> & { tool_calls?: { index: number }[] };
async function deltasOf(fields: object) {
  const asked = readChatRequest({ messages: MESSAGES, stream: true, ...fields });
  const chunks = (await all(chatChunks(ended(), asked, NAME))) as { choices: { delta: Delta }[] }[];
  return chunks.flatMap(({ choices }) => choices.map(({ delta }) => delta));
}

test("a chat's whole answer has its thinking under both names, and its calls", () => {
  const { choices, usage } = writeChatCompletion(RESULT, readChatRequest({ messages: MESSAGES }), NAME);
  assert.equal(choices[0], {
    index: 0,
    message: {
      role: "assistant",
      content: "Two",
      refusal: null,
      reasoning: "Hm.",
      reasoning_content: "Hm.",
      tool_calls: CALLS.map(({ id, ...called }) => ({ id, type: "function", function: called })),
    },
    logprobs: null,
    finish_reason: "tool_calls",
  });
  assert.equal(usage.prompt_tokens_details, { cached_tokens: 3 });
});

test("a chat's deltas, joined, are the whole answer", async () => {
  const deltas = await deltasOf({});
  const joined = (key: string) => deltas.map((delta) => delta[key] ?? "").join("");
  assert.equal([joined("reasoning"), joined("reasoning_content"), joined("content")], ["Hm.", "Hm.", "Two"]);
  assert.equal(
    deltas.flatMap(({ tool_calls: calls = [] }) => calls),
    [
      { index: 0, id: "call_0", type: "function", function: { name: "save", arguments: "" } },
      { index: 0, function: { arguments: '{"row"' } },
      { index: 0, function: { arguments: ":1}" } },
      { index: 1, id: "call_1", type: "function", function: { name: "again", arguments: "{}" } },
    ],
  );
});

test("what was not asked for is left out: thinking, further calls", async () => {
  const deltas = await deltasOf({ include_reasoning: false, parallel_tool_calls: false });
  assert.ok(deltas.every((delta) => delta.reasoning === undefined));
  assert.ok(deltas.every(({ tool_calls: calls = [] }) => calls.every(({ index }) => index === 0)));
});

interface ResponseEvent {
  readonly type: string;
  readonly sequence_number: number;
  readonly item?: object;
  readonly response?: { readonly output: object[] };
}

test("a response's events build what its whole object says", async () => {
  const asked = readResponseRequest({ input: "?", stream: true });
  const events = (await all(responseEvents(ended(), asked, NAME))) as ResponseEvent[];
  assert.equal(
    events.map((event) => event.sequence_number),
    events.map((_, index) => index),
  );
  const withoutIds = (items: readonly object[]) => items.map((item) => ({ ...item, id: "" }));
  const output = events.at(-1)?.response?.output ?? [];
  assert.equal(withoutIds(output), withoutIds(writeResponse(RESULT, asked, NAME).output));
  const doneItems = events.filter((event) => event.type === "response.output_item.done");
  assert.equal(
    doneItems.map(({ item }) => item),
    output,
  );
});

test("a response that is cut is incomplete, with its reason", () => {
  const asked = readResponseRequest({ input: "?" });
  const cut = writeResponse(resultOf({ finishReason: "length", content: "a" }), asked, NAME);
  assert.equal([cut.status, cut.incomplete_details], ["incomplete", { reason: "max_output_tokens" }]);
});

test("items of one turn of the assistant are one message", () => {
  const { prompt } = readResponseRequest({
    instructions: "Be brief.",
    input: [
      { role: "user", content: "?" },
      { type: "reasoning", summary: [], content: [{ type: "reasoning_text", text: "Hm." }] },
      { role: "assistant", content: [{ type: "output_text", text: "Two", annotations: [] }] },
      { type: "function_call", call_id: "a", name: "save", arguments: "{}" },
      { type: "function_call", call_id: "b", name: "save", arguments: "{}" },
      { type: "function_call_output", call_id: "a", output: "saved" },
    ],
  });
  const called = (id: string) => ({ id, type: "function", function: { name: "save", arguments: "{}" } });
  assert.equal(prompt, [
    { role: "system", content: "Be brief." },
    { role: "user", content: "?" },
    {
      role: "assistant",
      reasoning_content: "Hm.",
      content: [{ type: "text", text: "Two" }],
      tool_calls: [called("a"), called("b")],
    },
    { role: "tool", tool_call_id: "a", content: "saved" },
  ]);
});

test("a form beside tools is of the text, where the answer may be text", () => {
  const tools = [{ type: "function", function: { name: "save" } }];
  const asked = { messages: MESSAGES, tools, response_format: { type: "json_object" } };
  const optionsOf = (tool_choice?: unknown) => {
    const { toolChoice, structured } = readChatRequest({ ...asked, tool_choice }).options;
    return [toolChoice, structured !== undefined];
  };
  assert.equal(optionsOf(), ["auto", true]);
  assert.equal(optionsOf("none"), [undefined, true]);
  assert.equal(optionsOf("required"), ["required", false]);
  assert.equal(optionsOf({ type: "function", function: { name: "save" } }), [{ name: "save" }, false]);
});

test("what excludes each other is refused by name", () => {
  const form = { response_format: { type: "json_object" } };
  const refusal = (fields: object) => messageOf(() => readChatRequest({ messages: MESSAGES, ...fields }));
  assert.match(refusal({ tool_choice: "required" }), /needs tools/);
  assert.match(refusal({ ...form, guided_regex: "a" }), /response_format and guided_regex/);
  assert.match(refusal({ structured_outputs: { regex: "a", choice: ["a"] } }), /exactly one/);
  assert.match(refusal({ stream_options: {} }), /needs stream/);
  assert.match(refusal({ top_logprobs: 2 }), /needs logprobs/);
  assert.match(refusal({ add_generation_prompt: true, continue_final_message: true }), /opposite/);
});

test.run();
