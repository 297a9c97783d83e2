/** Bodies of Anthropic's Messages API: what they ask of a model, and what of them is refused. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { readAnthropicRequest, readCountTokensRequest } from "../../src/protocols/anthropic/read-request.ts";
import { messageOf } from "./run-events.ts";

const BASE = { model: "m", max_tokens: 10, messages: [{ role: "user", content: "hi" }] };
const TOOL = { name: "add", description: "sum", input_schema: { type: "object", properties: {} } };
const read = (more: object) => readAnthropicRequest({ ...BASE, ...more });
const user = (...content: object[]) => read({ messages: [{ role: "user", content }] });

test("a conversation with a system text, thinking, a call and its result", () => {
  const { prompt } = read({
    system: [
      { type: "text", text: "be" },
      { type: "text", text: "brief", cache_control: { type: "ephemeral" } },
    ],
    messages: [
      { role: "user", content: "1+1?" },
      {
        role: "assistant",
        content: [
          { type: "thinking", thinking: "hm", signature: "" },
          { type: "redacted_thinking", data: "x" },
          { type: "tool_use", id: "t1", name: "add", input: { a: 1 } },
        ],
      },
      {
        role: "user",
        content: [
          { type: "tool_result", tool_use_id: "t1", content: [{ type: "text", text: "2" }], is_error: false },
          { type: "text", text: "and now?" },
        ],
      },
    ],
  });
  assert.equal(prompt, [
    { role: "system", content: "be\nbrief" },
    { role: "user", content: "1+1?" },
    {
      role: "assistant",
      content: null,
      reasoning_content: "hm",
      tool_calls: [{ id: "t1", type: "function", function: { name: "add", arguments: { a: 1 } } }],
    },
    { role: "tool", tool_call_id: "t1", content: "2" },
    { role: "user", content: "and now?" },
  ]);
});

test("pictures as base64 and by address", () => {
  const { prompt } = user(
    { type: "image", source: { type: "base64", media_type: "image/png", data: "AAAA" } },
    { type: "image", source: { type: "url", url: "https://example.com/a.png" } },
    { type: "text", text: "?" },
  );
  assert.equal(prompt[0]?.content, [
    { type: "image", image: "data:image/png;base64,AAAA" },
    { type: "image", image: "https://example.com/a.png" },
    { type: "text", text: "?" },
  ]);
});

test("what says how to answer", () => {
  const { options, stream, model } = read({
    temperature: 0.5,
    top_k: 3,
    top_p: 0.9,
    stop_sequences: ["END"],
    stream: true,
    metadata: { user_id: "u" },
    thinking: { type: "enabled", budget_tokens: 7 },
    output_config: { effort: "low", format: { type: "json_schema", schema: { type: "object" } } },
  });
  assert.is(stream, true);
  assert.is(model, "m");
  assert.is(options.maxTokens, 10);
  assert.is(options.temperature, 0.5);
  assert.is(options.topK, 3);
  assert.is(options.topP, 0.9);
  assert.equal(options.stop, ["END"]);
  assert.is(options.enableThinking, true);
  assert.is(options.thinkingBudget, 7);
  assert.equal(options.structured, { jsonSchema: { type: "object" } });
});

test("no thinking is said where nothing is said of it, and none where it is off", () => {
  assert.is(read({}).options.enableThinking, undefined);
  assert.is(read({ thinking: { type: "disabled" } }).options.enableThinking, false);
  assert.is(read({ thinking: { type: "adaptive", display: "omitted" } }).hidesThinking, true);
});

const CHOICES: readonly (readonly [given: object | undefined, expected: unknown, oneCall: boolean])[] = [
  [undefined, "auto", false],
  [{ type: "auto" }, "auto", false],
  [{ type: "none" }, "none", false],
  [{ type: "any", disable_parallel_tool_use: true }, "required", true],
  [{ type: "tool", name: "add" }, { name: "add" }, false],
];
for (const [given, expected, oneCall] of CHOICES) {
  test(`tool_choice ${JSON.stringify(given)}`, () => {
    const request = read({ tools: [TOOL], tool_choice: given });
    assert.equal(request.options.toolChoice, expected);
    assert.is(request.oneCall, oneCall);
    assert.equal(request.options.tools, [
      { type: "function", function: { name: "add", description: "sum", parameters: TOOL.input_schema } },
    ]);
  });
}

test("an answer may be of a schema, or call", () => {
  const format = { type: "json_schema", schema: { type: "object" } };
  const { options } = read({ tools: [TOOL], output_config: { format } });
  assert.is(options.toolChoice, "auto");
  assert.equal(options.structured, { jsonSchema: { type: "object" } });
  // Where it has to call there is no text to be of the schema.
  const called = read({ tools: [TOOL], output_config: { format }, tool_choice: { type: "any" } }).options;
  assert.equal([called.toolChoice, called.structured], ["required", undefined]);
});

test("a last turn of the assistant is gone on with", () => {
  const { options } = read({ messages: [...BASE.messages, { role: "assistant", content: "It is" }] });
  assert.is(options.continueFinalMessage, true);
  assert.is(read({}).options.continueFinalMessage, undefined);
});

test("tokens are counted of the same body without max_tokens", () => {
  const { max_tokens: _, ...body } = BASE;
  assert.equal(readCountTokensRequest(body).prompt, BASE.messages);
});

const REFUSED: readonly (readonly [name: string, more: object, expected: RegExp])[] = [
  ["no max_tokens", { max_tokens: null }, /^max_tokens is missing/],
  ["no token", { max_tokens: 0 }, /^max_tokens is 0/],
  ["an unknown field", { temprature: 1 }, /^temprature is no field/],
  ["another role", { messages: [{ role: "tool", content: "x" }] }, /^messages\[0\]\.role is "tool"/],
  ["no content", { messages: [{ role: "user" }] }, /^messages\[0\]\.content is undefined/],
  ["a tool of the service", { tools: [{ type: "web_search_20250305", name: "w" }] }, /^tools\[0\]\.type/],
  ["containers", { container: "c" }, /^container is not supported/],
  [
    "a document",
    { messages: [{ role: "user", content: [{ type: "document" }] }] },
    /content\[0\]\.type is "document"/,
  ],
  [
    "a file's id",
    { messages: [{ role: "user", content: [{ type: "image", source: { type: "file", file_id: "f" } }] }] },
    /source\.type is "file"/,
  ],
  [
    "a path",
    {
      messages: [{ role: "user", content: [{ type: "image", source: { type: "url", url: "/etc/passwd" } }] }],
    },
    /source\.url is/,
  ],
  [
    "a result of no call",
    { messages: [{ role: "user", content: [{ type: "tool_result", tool_use_id: "t9" }] }] },
    /no tool_use block/,
  ],
];
for (const [name, more, expected] of REFUSED) {
  test(`refused: ${name}`, () => {
    assert.match(
      messageOf(() => read(more)),
      expected,
    );
  });
}

test.run();
