/** Tools and calls go through every protocol as they were written: 3.0 is not 3, and whole numbers have all their digits. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { readLine } from "../../src/batch/request-line.ts";
import { keptJsonText } from "../../src/json/kept.ts";
import type { Message } from "../../src/prompt/process-options.ts";
import { readAnthropicRequest } from "../../src/protocols/anthropic/read-request.ts";
import { anthropicMessage } from "../../src/protocols/anthropic/write-message.ts";
import type { Asked } from "../../src/protocols/asked.ts";
import { readOllamaChat } from "../../src/protocols/ollama/read-chat.ts";
import { chatForm, ollamaAnswer, ollamaLines } from "../../src/protocols/ollama/write-answer.ts";
import { readChatRequest } from "../../src/protocols/openai/chat-request.ts";
import { readResponseRequest } from "../../src/protocols/openai/responses/response-request.ts";
import { parseBody } from "../../src/protocols/read-body.ts";
import { JSON_LINES } from "../../src/server/stream-body.ts";
import { all, call, resultOf, runOf } from "./run-events.ts";

const VALUES = '{"9":1,"a":3.0,"b":12345678901234567890}';
const SCHEMA = `{"type":"object","default":${VALUES}}`;
const FUNCTION = `{"name":"set","parameters":${SCHEMA}}`;
const TOOLS = `[{"type":"function","function":${FUNCTION}}]`;
const USER = '{"role":"user","content":"?"}';

const REQUESTS: readonly [name: string, read: (body: unknown) => Asked, body: string, called: boolean][] = [
  [
    "OpenAI's chats",
    readChatRequest,
    `{"tools":${TOOLS},"messages":[${USER},{"role":"assistant","tool_calls":[{"id":"x","function":{"name":"set","arguments":${VALUES}}}]}]}`,
    true,
  ],
  [
    "OpenAI's responses",
    readResponseRequest,
    `{"input":"?","tools":[{"type":"function","name":"set","parameters":${SCHEMA}}]}`,
    false,
  ],
  [
    "Anthropic's messages",
    readAnthropicRequest,
    `{"model":"m","max_tokens":9,"tools":[{"name":"set","input_schema":${SCHEMA}}],"messages":[${USER},{"role":"assistant","content":[{"type":"tool_use","id":"x","name":"set","input":${VALUES}}]}]}`,
    true,
  ],
  [
    "Ollama's chats",
    readOllamaChat,
    `{"model":"m","tools":${TOOLS},"messages":[${USER},{"role":"assistant","tool_calls":[{"function":{"name":"set","arguments":${VALUES}}}]}]}`,
    true,
  ],
];
for (const [name, read, body, called] of REQUESTS) {
  test(`${name} show the model tools and calls as they were written`, () => {
    const { options, prompt } = read(parseBody(body));
    assert.is(options.tools, TOOLS);
    if (!called) return;
    const message = (prompt as readonly Message[]).at(-1) as Message;
    assert.is(message.tool_calls?.[0]?.function.arguments, VALUES);
  });
}

test("a batch's requests too", () => {
  const line = `{"custom_id":"1","method":"POST","url":"/v1/chat/completions","body":{"messages":[${USER}],"tools":${TOOLS}}}`;
  const read = readLine(new TextEncoder().encode(line));
  assert.ok("request" in read);
  assert.is(readChatRequest(read.request.body).options.tools, TOOLS);
});

test("a schema is read as it was written", () => {
  const format = `{"type":"json_schema","json_schema":{"name":"a","schema":${SCHEMA}}}`;
  const { options } = readChatRequest(parseBody(`{"messages":[${USER}],"response_format":${format}}`));
  assert.equal(options.structured, { jsonSchema: SCHEMA });
});

test("Ollama's format, which is a schema, too", () => {
  const { options } = readOllamaChat(parseBody(`{"model":"m","messages":[${USER}],"format":${SCHEMA}}`));
  assert.equal(options.structured, { jsonSchema: SCHEMA });
});

test("calls whose arguments are told as objects are as the model wrote them", async () => {
  const result = resultOf({ toolCalls: [{ id: "x", name: "set", arguments: VALUES }] });
  const frame = { id: "msg_1", model: "m", oneCall: false, hidesThinking: false };
  assert.ok(keptJsonText(anthropicMessage(result, frame)).includes(`"input":${VALUES}`));
  assert.ok(keptJsonText(ollamaAnswer(result, "m", chatForm)).includes(`"arguments":${VALUES}`));
  const events = runOf([call(0, "", "set"), call(0, VALUES)], result);
  const lines = await all(ollamaLines(events, "m", chatForm));
  assert.ok(lines.some((line) => JSON_LINES.frame(line).includes(`"arguments":${VALUES}`)));
});

test.run();
