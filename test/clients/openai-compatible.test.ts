/** The AI SDK over HTTP, by its provider for servers that speak OpenAI's API. */
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, Output, streamText } from "ai";
import { test } from "uvu";
import * as assert from "uvu/assert";
import * as z from "zod";
import { KEY, PICTURE, READ, type Served, serveDemo } from "./served.ts";

let served: Served;
test.before(async () => {
  served = await serveDemo();
});
test.after(() => served.close());

const demo = () =>
  createOpenAICompatible({
    name: "glimt",
    baseURL: `${served.url}/v1`,
    apiKey: KEY,
    includeUsage: true,
    supportsStructuredOutputs: true,
  })("demo");
const MESSAGES = [
  {
    role: "user" as const,
    content: [
      { type: "file" as const, mediaType: "image/png", data: Buffer.from(PICTURE, "base64") },
      { type: "text" as const, text: READ },
    ],
  },
];

test("a picture is read, at once and in pieces, with its usage", async () => {
  const whole = await generateText({ model: demo(), messages: MESSAGES, temperature: 0 });
  assert.is(whole.text, "Hello world");
  assert.is(whole.finishReason, "stop");
  const stream = streamText({ model: demo(), messages: MESSAGES, temperature: 0 });
  const pieces: string[] = [];
  for await (const piece of stream.textStream) pieces.push(piece);
  assert.is(pieces.join(""), "Hello world");
  assert.ok(pieces.length > 1);
  const usage = await stream.usage;
  assert.is(usage.inputTokens, whole.usage.inputTokens);
  assert.is(usage.outputTokens, whole.usage.outputTokens);
  assert.ok((usage.inputTokenDetails.cacheReadTokens ?? 0) > 0);
});

test("an object of a schema", async () => {
  const schema = z.object({ word: z.enum(["yes", "no"]) });
  const { output } = await generateText({
    model: demo(),
    messages: MESSAGES,
    temperature: 0,
    output: Output.object({ schema }),
  });
  assert.ok(["yes", "no"].includes(output.word));
});

test("what is wrong is told with its status", async () => {
  const wrong = await generateText({ model: demo(), messages: MESSAGES, topP: 7, maxRetries: 0 }).catch(
    (error: { statusCode?: number }) => error,
  );
  assert.is((wrong as { statusCode?: number }).statusCode, 400);
});

test.run();
