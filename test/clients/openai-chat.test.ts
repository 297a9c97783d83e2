/** Chats through OpenAI's own client. */
import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { test } from "uvu";
import * as assert from "uvu/assert";
import * as z from "zod";
import { pictureUrl, readingOf } from "../server/demo.ts";
import { KEY, type Served, serveDemo } from "./served.ts";

let served: Served;
let client: OpenAI;
test.before(async () => {
  served = await serveDemo({ name: "demo", apiKeys: [KEY] });
  client = new OpenAI({ baseURL: `${served.url}/v1`, apiKey: KEY, maxRetries: 0 });
});
test.after(async () => {
  await served.close();
});

const READ = { model: "demo", messages: readingOf(pictureUrl()) };
const SAVE = {
  type: "function" as const,
  function: {
    name: "save_line",
    parameters: {
      type: "object",
      properties: { row: { type: "integer", minimum: 0, maximum: 9 } },
      required: ["row"],
      additionalProperties: false,
    },
  },
};

test("a picture", async () => {
  const { choices, usage, id, object, model: answered } = await client.chat.completions.create(READ);
  assert.is(choices[0]?.message.content, "Hello world");
  assert.is(choices[0]?.finish_reason, "stop");
  assert.equal([object, answered], ["chat.completion", "demo"]);
  assert.match(id, /^chatcmpl-/);
  assert.is(usage?.total_tokens, (usage?.prompt_tokens ?? 0) + 12);
});

test("a picture as bare base64, as Ollama's clients send it", async () => {
  const [, url = ""] = pictureUrl("numbers.png").split(",");
  const { choices } = await client.chat.completions.create({ model: "demo", messages: readingOf(url) });
  assert.is(choices[0]?.message.content, "#48213 17:05\n92% 7304");
});

test("a stream with its usage", async () => {
  const stream = await client.chat.completions.create({
    ...READ,
    stream: true,
    stream_options: { include_usage: true },
  });
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  const deltas = chunks.flatMap(({ choices }) => choices);
  assert.equal(deltas[0]?.delta, { role: "assistant", content: "" });
  assert.is(deltas.map(({ delta }) => delta.content ?? "").join(""), "Hello world");
  assert.equal(
    deltas.map(({ finish_reason }) => finish_reason).filter((reason) => reason !== null),
    ["stop"],
  );
  const last = chunks.pop();
  assert.equal(last?.choices, []);
  assert.is(last?.usage?.completion_tokens, 12);
  assert.ok(chunks.every(({ usage }) => usage === null));
});

test("a stream that tells its usage as it goes", async () => {
  const stream = await client.chat.completions.create({
    ...READ,
    stream: true,
    // vLLM's, of which OpenAI's types do not know.
    stream_options: { include_usage: true, continuous_usage_stats: true } as { include_usage: true },
  });
  const counts: number[] = [];
  for await (const { usage } of stream) {
    assert.is(usage?.prompt_tokens, 33);
    counts.push(usage?.completion_tokens ?? -1);
  }
  assert.equal(
    counts,
    [...counts].sort((a, b) => a - b),
  );
  assert.is(counts.at(-1), 12);
});

test("the client's own accumulation of a stream is the whole answer", async () => {
  const whole = await client.chat.completions.create({ ...READ, logprobs: true, top_logprobs: 2 });
  const streamed = await client.chat.completions
    .stream({ ...READ, logprobs: true, top_logprobs: 2 })
    .finalChatCompletion();
  const { message, ...choice } = whole.choices[0] as OpenAI.ChatCompletion.Choice;
  const { message: other, ...same } = streamed.choices[0] as OpenAI.ChatCompletion.Choice;
  assert.is(other.content, message.content);
  assert.equal(same.logprobs?.content, choice.logprobs?.content);
  assert.is(same.finish_reason, choice.finish_reason);
});

test("24 at once are what they are alone", async () => {
  const pictures = ["hello.png", "lines.png", "numbers.png", "receipt.png"].map(pictureUrl);
  const asked = Array.from({ length: 24 }, (_, index) => ({
    model: "demo",
    messages:
      index % 3 === 2
        ? [{ role: "user" as const, content: `Say it ${index} times` }]
        : readingOf(pictures[index % 4] as string),
    max_tokens: 4 + (index % 5) * 4,
    seed: index,
    temperature: index % 2,
  }));
  const textOf = async (body: (typeof asked)[number]) =>
    (await client.chat.completions.create(body)).choices[0]?.message.content;
  const together = await Promise.all(asked.map(textOf));
  const alone = [];
  for (const body of asked) alone.push(await textOf(body));
  assert.equal(together, alone);
  assert.ok(new Set(alone).size > 8);
});

test("log probabilities", async () => {
  const { choices } = await client.chat.completions.create({ ...READ, logprobs: true, top_logprobs: 3 });
  const tokens = choices[0]?.logprobs?.content ?? [];
  assert.is(tokens.length, 12);
  assert.is(
    tokens
      .slice(0, 11)
      .map(({ token }) => token)
      .join(""),
    "Hello world",
  );
  for (const { logprob, top_logprobs: top, token, bytes } of tokens) {
    assert.is(top.length, 3);
    assert.is(top[0]?.token, token);
    assert.is(top[0]?.logprob, logprob);
    assert.ok(logprob <= 0 && logprob > -1);
    assert.equal(bytes, [...new TextEncoder().encode(token)]);
  }
});

test("several answers, each of its seed", async () => {
  const sampled = { model: "demo", messages: [{ role: "user" as const, content: "?" }], temperature: 1.5 };
  const limited = { ...sampled, max_tokens: 8 };
  const { choices } = await client.chat.completions.create({ ...limited, n: 3, seed: 11 });
  assert.equal(
    choices.map(({ index }) => index),
    [0, 1, 2],
  );
  for (const [index, { message }] of choices.entries()) {
    const alone = await client.chat.completions.create({ ...limited, seed: 11 + index });
    assert.is(message.content, alone.choices[0]?.message.content);
  }
});

test("JSON of a schema, parsed by the client", async () => {
  const Line = z.object({ kind: z.enum(["words", "numbers"]), row: z.number().int().min(0).max(9) });
  const { choices } = await client.chat.completions.parse({
    ...READ,
    response_format: zodResponseFormat(Line, "line"),
    max_tokens: 100,
  });
  const { kind, row } = choices[0]?.message.parsed ?? {};
  assert.ok(kind === "words" || kind === "numbers");
  assert.ok(Number.isInteger(row));
});

test("vLLM's fields: a choice, an expression", async () => {
  const ask = async (fields: object) =>
    (await client.chat.completions.create({ ...READ, ...fields } as typeof READ)).choices[0]?.message.content;
  assert.ok(
    ["tea", "coffee"].includes((await ask({ structured_outputs: { choice: ["tea", "coffee"] } })) ?? ""),
  );
  assert.match((await ask({ guided_regex: "[A-Z][a-z]{1,3}" })) ?? "", /^[A-Z][a-z]{1,3}$/);
});

test("a forced tool call, whole and as it comes", async () => {
  const forced = {
    ...READ,
    tools: [SAVE],
    tool_choice: { type: "function" as const, function: { name: "save_line" } },
    max_tokens: 200,
  };
  const { choices } = await client.chat.completions.create(forced);
  const [call] = choices[0]?.message.tool_calls ?? [];
  assert.is(choices[0]?.finish_reason, "tool_calls");
  assert.is(choices[0]?.message.content, null);
  assert.ok(call?.type === "function" && call.id !== "");
  assert.is(call.function.name, "save_line");
  const { row } = JSON.parse(call.function.arguments);
  assert.ok(row >= 0 && row <= 9);
  const streamed = await client.chat.completions.stream(forced).finalChatCompletion();
  const [other] = streamed.choices[0]?.message.tool_calls ?? [];
  assert.ok(other?.type === "function");
  assert.equal(other.function.arguments, call.function.arguments);
  assert.is(streamed.choices[0]?.finish_reason, "tool_calls");
});

test("a conversation with a call and its answer goes on", async () => {
  const { usage } = await client.chat.completions.create({
    model: "demo",
    tools: [SAVE],
    tool_choice: "none",
    max_tokens: 3,
    messages: [
      { role: "developer", content: "Be brief." },
      ...readingOf(pictureUrl()),
      {
        role: "assistant",
        content: null,
        refusal: null,
        tool_calls: [
          { id: "call_1", type: "function", function: { name: "save_line", arguments: '{"row": 1}' } },
        ],
      },
      { role: "tool", tool_call_id: "call_1", content: "saved" },
    ],
  });
  const { prompt_tokens: alone = 0 } = (await client.chat.completions.create(READ)).usage ?? {};
  assert.ok((usage?.prompt_tokens ?? 0) > alone + "save_line".length);
});

test("stop strings end the text and are no part of it", async () => {
  const { choices, usage } = await client.chat.completions.create({ ...READ, stop: ["o w"] });
  assert.is(choices[0]?.message.content, "Hell");
  assert.is(choices[0]?.finish_reason, "stop");
  assert.is(usage?.completion_tokens, 7);
});

test("what was read before is told as cached", async () => {
  const text = "The same long question, again and again, until pages of it are full. ".repeat(4);
  const ask = () =>
    client.chat.completions.create({
      model: "demo",
      messages: [{ role: "user", content: text }],
      max_tokens: 2,
    });
  await ask();
  const { usage } = await ask();
  assert.ok((usage?.prompt_tokens_details?.cached_tokens ?? 0) > 100);
});

test("models are listed, and asked for by name", async () => {
  const ids = [];
  for await (const { id } of client.models.list()) ids.push(id);
  assert.equal(ids, ["demo"]);
  assert.is((await client.models.retrieve("demo")).id, "demo");
});

test("text that spells a control token is text", async () => {
  const ask = async (content: string) => {
    const messages = [{ role: "user" as const, content }];
    const { usage } = await client.chat.completions.create({ model: "demo", messages, max_tokens: 1 });
    return usage?.prompt_tokens ?? 0;
  };
  assert.is((await ask("<|user|>")) - (await ask("12345678")), 0);
});

test.run();
