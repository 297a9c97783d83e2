/** Completions and responses through OpenAI's own client. */
import OpenAI from "openai";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Model } from "../../src/index.ts";
import { pictureUrl } from "../server/demo.ts";
import { KEY, type Served, serveDemo } from "./served.ts";

let model: Model;
let served: Served;
let client: OpenAI;
test.before(async () => {
  served = await serveDemo({ name: "demo", apiKeys: [KEY] });
  model = served.model;
  client = new OpenAI({ baseURL: `${served.url}/v1`, apiKey: KEY, maxRetries: 0 });
});
test.after(async () => {
  await served.close();
});

const PROMPT = "[gMASK]<sop><|user|>\nHello<|assistant|>\n";

test("a completion of a text is that of its tokens", async () => {
  const ids = await model.tokenize(PROMPT);
  const ofText = await client.completions.create({ model: "demo", prompt: PROMPT, max_tokens: 6 });
  const ofIds = await client.completions.create({ model: "demo", prompt: ids, max_tokens: 6 });
  assert.is(ofText.object, "text_completion");
  assert.is(ofText.choices[0]?.text, ofIds.choices[0]?.text);
  assert.is(ofText.usage?.prompt_tokens, ids.length);
});

test("several prompts, several answers each, echoed; whole and as they come", async () => {
  const prompt = ["One", "Two", "Three"];
  const body = { model: "demo", prompt, max_tokens: 5, n: 2, temperature: 1, seed: 3, echo: true };
  const { choices, usage } = await client.completions.create(body);
  assert.equal(
    choices.map(({ index }) => index),
    [0, 1, 2, 3, 4, 5],
  );
  for (const { index, text } of choices) assert.ok(text.startsWith(prompt[Math.floor(index / 2)] as string));
  const texts = ["", "", "", "", "", ""];
  let told: unknown;
  const stream = await client.completions.create({
    ...body,
    stream: true,
    stream_options: { include_usage: true },
  });
  for await (const chunk of stream) {
    for (const { index, text } of chunk.choices) texts[index] += text;
    told = chunk.usage ?? told;
  }
  assert.equal(
    texts,
    choices.map(({ text }) => text),
  );
  const { completion_tokens: count, prompt_tokens: tokens } = told as OpenAI.CompletionUsage;
  assert.equal([count, tokens], [usage?.completion_tokens, usage?.prompt_tokens]);
});

test("log probabilities of a completion", async () => {
  const body = { model: "demo", prompt: PROMPT, max_tokens: 4, logprobs: 2 };
  const { choices } = await client.completions.create(body);
  const { tokens, text_offset: offsets, top_logprobs: top } = choices[0]?.logprobs ?? {};
  assert.is(tokens?.join("").slice(0, choices[0]?.text.length), choices[0]?.text);
  assert.equal(offsets?.slice(0, 2), [0, tokens?.[0]?.length]);
  assert.is(Object.keys(top?.[0] ?? {}).length, 2);
});

const ASKED = {
  model: "demo",
  input: [
    {
      role: "user" as const,
      content: [
        { type: "input_image" as const, image_url: pictureUrl(), detail: "auto" as const },
        { type: "input_text" as const, text: "Text Recognition:" },
      ],
    },
  ],
};

test("a response, and the same as it comes", async () => {
  const whole = await client.responses.create(ASKED);
  assert.is(whole.output_text, "Hello world");
  assert.is(whole.status, "completed");
  assert.is(whole.usage?.output_tokens, 12);
  const types: string[] = [];
  const stream = client.responses.stream(ASKED);
  for await (const { type } of stream) if (types.at(-1) !== type) types.push(type);
  assert.equal(types, [
    "response.created",
    "response.in_progress",
    "response.output_item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
    "response.completed",
  ]);
  const streamed = await stream.finalResponse();
  assert.is(streamed.output_text, "Hello world");
  assert.is(streamed.usage?.total_tokens, whole.usage?.total_tokens);
});

test("a response that calls a function, and goes on behind its answer", async () => {
  const tool = {
    type: "function" as const,
    name: "save_line",
    strict: false,
    parameters: { type: "object", properties: { row: { type: "integer", minimum: 0, maximum: 9 } } },
  };
  const asked = { ...ASKED, tools: [tool], tool_choice: "required" as const, max_output_tokens: 300 };
  const { output } = await client.responses.create(asked);
  const call = output.find((item) => item.type === "function_call");
  assert.ok(call?.type === "function_call");
  assert.is(call.name, "save_line");
  const streamed = await client.responses.stream(asked).finalResponse();
  const other = streamed.output.find((item) => item.type === "function_call");
  assert.is(other?.type === "function_call" && other.arguments, call.arguments);
  const next = await client.responses.create({
    ...ASKED,
    instructions: "Be brief.",
    input: [
      ...ASKED.input,
      ...output,
      { type: "function_call_output", call_id: call.call_id, output: "saved" },
    ],
    max_output_tokens: 3,
  } as OpenAI.Responses.ResponseCreateParamsNonStreaming);
  assert.is(next.object, "response");
});

test("a response of a schema, and one that is cut", async () => {
  const schema = { type: "object", properties: { a: { type: "boolean" } }, required: ["a"] };
  const format = { type: "json_schema" as const, name: "a", schema };
  const { output_text } = await client.responses.create({ ...ASKED, text: { format } });
  assert.type(JSON.parse(output_text).a, "boolean");
  const cut = await client.responses.create({ ...ASKED, max_output_tokens: 2 });
  assert.is(cut.status, "incomplete");
  assert.is(cut.incomplete_details?.reason, "max_output_tokens");
});

test("responses are not kept, which is said", async () => {
  try {
    await client.responses.create({ ...ASKED, previous_response_id: "resp_1" });
  } catch (error) {
    assert.instance(error, OpenAI.BadRequestError);
    assert.match((error as Error).message, /send the whole conversation/);
    return;
  }
  assert.unreachable();
});

test.run();
