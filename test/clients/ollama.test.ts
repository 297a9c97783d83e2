/** Ollama's own client over the server. */
import { Ollama } from "ollama";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { idle, KEY, PICTURE, READ, type Served, serveDemo } from "./served.ts";

let served: Served;
let client: Ollama;
test.before(async () => {
  served = await serveDemo();
  client = new Ollama({ host: served.url, headers: { authorization: `Bearer ${KEY}` } });
});
test.after(() => served.close());

const MESSAGES = [{ role: "user", content: READ, images: [PICTURE] }];
const options = { temperature: 0 };
const statusOf = (work: Promise<unknown>) =>
  work.then(
    () => 200,
    (error: { status_code?: number }) => error.status_code,
  );

test("a chat reads a picture, at once and in pieces", async () => {
  const whole = await client.chat({ model: "demo", messages: MESSAGES, options });
  assert.is(whole.message.content, "Hello world");
  assert.is(whole.done_reason, "stop");
  assert.ok(whole.total_duration >= whole.eval_duration && whole.eval_duration > 0);
  assert.is(whole.eval_count, 12);
  let text = "";
  let lines = 0;
  for await (const { message, done } of await client.chat({
    model: "demo:latest",
    messages: MESSAGES,
    options,
    stream: true,
  })) {
    text += message.content;
    lines += 1;
    if (done) break;
  }
  assert.is(text, "Hello world");
  assert.ok(lines > 2);
});

test("generate reads a picture, at once and in pieces", async () => {
  const images = [Uint8Array.from(Buffer.from(PICTURE, "base64"))];
  const asked = { model: "demo", prompt: READ, images, options };
  assert.is((await client.generate(asked)).response, "Hello world");
  let text = "";
  for await (const { response = "" } of await client.generate({ ...asked, stream: true })) text += response;
  assert.is(text, "Hello world");
});

test("formats, seeds, limits and probabilities", async () => {
  const format = { type: "object", properties: { word: { enum: ["yes", "no"] } }, required: ["word"] };
  const { message } = await client.chat({ model: "demo", messages: MESSAGES, options, format });
  assert.ok(["yes", "no"].includes(JSON.parse(message.content).word));
  const drawn = () =>
    client.generate({ model: "demo", prompt: "?", options: { seed: 3, temperature: 1.5, num_predict: 8 } });
  const [a, b] = [await drawn(), await drawn()];
  assert.is(a.response, b.response);
  assert.is(a.eval_count, 8);
  assert.is(a.done_reason, "length");
  const told = await client.chat({
    model: "demo",
    messages: MESSAGES,
    options,
    logprobs: true,
    top_logprobs: 2,
  });
  assert.is(told.logprobs?.length, told.eval_count);
  assert.is(told.logprobs?.[0]?.top_logprobs?.length, 2);
});

test("tools are offered, and a call and its result are read", async () => {
  const parameters = { type: "object", properties: { a: { type: "integer" } }, required: ["a"] };
  const tools = [{ type: "function", function: { name: "add", description: "Adds.", parameters } }];
  const { message } = await client.chat({
    model: "demo",
    tools,
    options: { temperature: 0, num_predict: 8 },
    messages: [
      { role: "user", content: "1+1?" },
      { role: "assistant", content: "", tool_calls: [{ function: { name: "add", arguments: { a: 1 } } }] },
      { role: "tool", content: "2", tool_name: "add" },
    ],
  });
  assert.is(message.role, "assistant");
});

test("models are listed and shown", async () => {
  const { models } = await client.list();
  assert.equal(
    models.map(({ name }) => name),
    ["demo"],
  );
  assert.ok((await client.show({ model: "demo" })).capabilities.includes("vision"));
  assert.is((await client.ps()).models[0]?.name, "demo");
});

test("what is wrong is told with its status", async () => {
  assert.is(await statusOf(client.chat({ model: "nobody", messages: MESSAGES })), 404);
  assert.is(await statusOf(client.generate({ model: "demo", prompt: "?", images: ["AAAA"] })), 400);
  assert.is(await statusOf(client.generate({ model: "demo", prompt: "?", raw: true })), 400);
  assert.is(await statusOf(new Ollama({ host: served.url }).list()), 401);
  const path = await client
    .generate({ model: "demo", prompt: "?", images: ["https://127.0.0.1/a.png"] })
    .catch((error: Error) => error.message);
  assert.match(String(path), /not allowed by the option sources/);
});

test("a stream that is aborted frees its request", async () => {
  const stream = await client.generate({
    model: "demo",
    prompt: "?",
    stream: true,
    options: { num_predict: 64 },
  });
  const read = async () => {
    for await (const _ of stream) stream.abort();
  };
  await read().catch(() => undefined);
  await idle(served.model);
});

test.run();
