/** Anthropic's own client over the server. */
import Anthropic from "@anthropic-ai/sdk";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { idle, KEY, PICTURE, READ, type Served, serveDemo } from "./served.ts";

let served: Served;
let client: Anthropic;
test.before(async () => {
  served = await serveDemo();
  client = new Anthropic({ baseURL: served.url, apiKey: KEY, maxRetries: 0 });
});
test.after(() => served.close());

const reading = (text = READ): Anthropic.MessageParam[] => [
  {
    role: "user",
    content: [
      { type: "image", source: { type: "base64", media_type: "image/png", data: PICTURE } },
      { type: "text", text },
    ],
  },
];
const BASE = { model: "demo", max_tokens: 40 };
const ADD: Anthropic.Tool = {
  name: "add",
  description: "Adds two numbers.",
  input_schema: {
    type: "object",
    properties: { a: { type: "integer", minimum: 0, maximum: 9 }, b: { enum: [1, 2] } },
    required: ["a", "b"],
  },
};
const errorOf = (work: PromiseLike<unknown>) =>
  Promise.resolve(work).then(
    () => assert.unreachable("nothing was thrown"),
    (error) => error,
  );

test("a picture is read; the second time from what was kept", async () => {
  const { data: message, request_id } = await client.messages
    .create({ ...BASE, messages: reading() })
    .withResponse();
  assert.equal(message.content, [{ type: "text", text: "Hello world", citations: null }]);
  assert.is(message.stop_reason, "end_turn");
  assert.is(message.model, "demo");
  assert.ok(request_id);
  const again = await client.messages.create({ ...BASE, messages: reading() });
  const { usage } = again;
  assert.ok((usage.cache_read_input_tokens ?? 0) > 0);
  assert.is(
    usage.input_tokens + (usage.cache_read_input_tokens ?? 0),
    message.usage.input_tokens + (message.usage.cache_read_input_tokens ?? 0),
  );
  const { input_tokens } = await client.messages.countTokens({ model: "demo", messages: reading() });
  assert.is(input_tokens, usage.input_tokens + (usage.cache_read_input_tokens ?? 0));
});

test("a stream says the same, piece by piece", async () => {
  const stream = client.messages.stream({ ...BASE, messages: reading(), system: "Read." });
  const pieces: string[] = [];
  stream.on("text", (piece) => pieces.push(piece));
  const message = await stream.finalMessage();
  const whole = await client.messages.create({ ...BASE, messages: reading(), system: "Read." });
  assert.equal(message.content, whole.content);
  assert.ok(pieces.length > 1);
  assert.is(message.stop_reason, whole.stop_reason);
  assert.is(message.usage.output_tokens, whole.usage.output_tokens);
});

test("stop sequences, and a limit that is reached", async () => {
  const stopped = await client.messages.create({ ...BASE, messages: reading(), stop_sequences: ["wor"] });
  assert.equal(stopped.content, [{ type: "text", text: "Hello ", citations: null }]);
  assert.is(stopped.stop_reason, "stop_sequence");
  assert.is(stopped.stop_sequence, "wor");
  const cut = await client.messages.create({ ...BASE, max_tokens: 3, messages: reading() });
  assert.is(cut.stop_reason, "max_tokens");
  assert.is(cut.usage.output_tokens, 3);
});

test("a tool has to be called, its result goes back; also in a stream", async () => {
  const asked = {
    ...BASE,
    max_tokens: 64,
    tools: [ADD],
    tool_choice: { type: "tool" as const, name: "add" },
  };
  const messages = reading("Add.");
  const first = await client.messages.create({ ...asked, messages });
  const [call] = first.content;
  assert.ok(call?.type === "tool_use");
  const input = call.input as { a: number; b: number };
  assert.ok(Number.isInteger(input.a) && [1, 2].includes(input.b));
  assert.is(first.stop_reason, "tool_use");
  const streamed = await client.messages.stream({ ...asked, messages }).finalMessage();
  assert.equal((streamed.content[0] as Anthropic.ToolUseBlock).input, call.input);
  assert.is(streamed.stop_reason, "tool_use");
  const last = await client.messages.create({
    ...BASE,
    tools: [ADD],
    tool_choice: { type: "none" },
    messages: [
      ...messages,
      { role: "assistant", content: first.content },
      { role: "user", content: [{ type: "tool_result", tool_use_id: call.id, content: "3" }] },
    ],
  });
  assert.ok(last.content.every(({ type }) => type === "text"));
});

test("an answer of a schema", async () => {
  const schema = {
    type: "object",
    properties: { word: { enum: ["yes", "no"] } },
    required: ["word"],
    additionalProperties: false,
  };
  const { content } = await client.messages.create({
    ...BASE,
    messages: reading(),
    output_config: { format: { type: "json_schema", schema } },
  });
  assert.ok(content[0]?.type === "text");
  assert.ok(["yes", "no"].includes(JSON.parse(content[0].text).word));
});

test("errors are of the client's classes", async () => {
  const unknown = await errorOf(client.messages.create({ ...BASE, model: "nobody", messages: reading() }));
  assert.ok(unknown instanceof Anthropic.NotFoundError);
  const stranger = new Anthropic({ baseURL: served.url, apiKey: "other", maxRetries: 0 });
  const refused = await errorOf(stranger.messages.create({ ...BASE, messages: reading() }));
  assert.ok(refused instanceof Anthropic.AuthenticationError);
  const wrong = await errorOf(
    client.messages.create({
      ...BASE,
      messages: [
        {
          role: "user",
          content: [{ type: "image", source: { type: "base64", media_type: "image/png", data: "AAAA" } }],
        },
      ],
    }),
  );
  assert.ok(wrong instanceof Anthropic.BadRequestError);
  assert.is(wrong.type, "invalid_request_error");
  const inner = await errorOf(
    client.messages.create({
      ...BASE,
      stream: true,
      messages: [
        {
          role: "user",
          content: [{ type: "image", source: { type: "url", url: "http://127.0.0.1:9/a.png" } }],
        },
      ],
    }),
  );
  assert.ok(inner instanceof Anthropic.BadRequestError);
  const long = await errorOf(
    client.messages.create({ ...BASE, messages: [{ role: "user", content: "word ".repeat(100_000) }] }),
  );
  assert.ok(long instanceof Anthropic.BadRequestError);
});

test("a stream that is left frees its request", async () => {
  const stream = await client.messages.create({
    ...BASE,
    max_tokens: 64,
    messages: reading("?"),
    stream: true,
  });
  for await (const event of stream) if (event.type === "content_block_delta") break;
  await idle(served.model);
});

test.run();
