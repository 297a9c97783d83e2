/** Streams of the AI SDK over glimt's models: reasoning, calls, aborts, errors. */
import { readFile } from "node:fs/promises";
import {
  APICallError,
  convertToModelMessages,
  createProviderRegistry,
  generateText,
  NoSuchModelError,
  streamText,
  tool,
  type UIMessage,
  UnsupportedFunctionalityError,
} from "ai";
import { test } from "uvu";
import * as assert from "uvu/assert";
import * as z from "zod";
import { createGlimt, languageModel } from "../../src/ai/provider.ts";
import { GlimtError, loadModel, type Model } from "../../src/index.ts";

const CHECKPOINT = "examples/demo/checkpoint";
let model: Model;
let picture: Uint8Array;

test.before(async () => {
  model = await loadModel(CHECKPOINT);
  picture = await readFile("examples/demo/pictures/hello.png");
});
test.after(() => model.dispose());

const says = (text: string) => [{ role: "user" as const, content: text }];
/** An answer that goes on until it is told to stop. */
const ENDLESS = {
  maxOutputTokens: 500,
  providerOptions: { glimt: { ignoreEos: true } },
};
/** The demo model does not think by itself: its answer is opened within its thinking. */
const THINKING = {
  messages: [...says("Text Recognition:"), { role: "assistant" as const, content: "<think>Hello" }],
  providerOptions: {
    glimt: {
      continueFinalMessage: true,
      specialTokensInText: "parse",
      thinkingBudget: 3,
      structured: { regex: "[a-z]{3} [a-z]{3}" },
    },
  },
};

test("thinking is reasoning, and counted as such", async () => {
  const result = streamText({ model: languageModel(model), ...THINKING });
  const types: string[] = [];
  for await (const part of result.fullStream) if (types.at(-1) !== part.type) types.push(part.type);
  assert.equal(types, [
    "start",
    "start-step",
    "reasoning-start",
    "reasoning-delta",
    "reasoning-end",
    "text-start",
    "text-delta",
    "text-end",
    "finish-step",
    "finish",
  ]);
  const whole = await generateText({ model: languageModel(model), ...THINKING });
  assert.is(await result.reasoningText, whole.reasoningText);
  assert.is(await result.text, whole.text);
  assert.ok(whole.reasoningText);
  assert.is(whole.usage.outputTokenDetails.reasoningTokens, 3);
  assert.is(whole.usage.outputTokenDetails.textTokens, whole.usage.outputTokens! - 3);
  assert.match(whole.text, /^[a-z]{3} [a-z]{3}$/);
});

test("a call's arguments come in pieces", async () => {
  const result = streamText({
    model: languageModel(model),
    messages: says("?"),
    tools: { save: tool({ inputSchema: z.object({ text: z.string().min(3).max(8) }) }) },
    toolChoice: { type: "tool", toolName: "save" },
    reasoning: "none",
  });
  let input = "";
  let pieces = 0;
  for await (const part of result.fullStream) {
    if (part.type !== "tool-input-delta") continue;
    input += part.delta;
    pieces++;
  }
  const [call] = await result.toolCalls;
  assert.equal(JSON.parse(input), call?.input);
  assert.ok(pieces > 1);
  assert.is(await result.finishReason, "tool-calls");
});

test("an abort ends the request and frees what it holds", async () => {
  const controller = new AbortController();
  const result = streamText({
    model: languageModel(model),
    messages: says("?"),
    ...ENDLESS,
    abortSignal: controller.signal,
  });
  const types: string[] = [];
  for await (const part of result.fullStream) {
    types.push(part.type);
    if (part.type === "text-delta") controller.abort();
  }
  assert.is(types.at(-1), "abort");
  await idle();
  assert.is(model.stats().running, 0);
});

test("a stream that nobody reads on ends the request", async () => {
  const { stream } = await languageModel(model).doStream({
    prompt: [{ role: "user", content: [{ type: "text", text: "?" }] }],
    ...ENDLESS,
  });
  const reader = stream.getReader();
  await reader.read();
  await reader.cancel();
  assert.is(model.stats().running, 0);
});

test("an abort of generateText is told as the signal's reason", async () => {
  const error: unknown = await generateText({
    model: languageModel(model),
    messages: says("?"),
    ...ENDLESS,
    abortSignal: AbortSignal.timeout(1),
  }).catch((thrown) => thrown);
  assert.is((error as Error).name, "TimeoutError");
  await idle();
});

test("raw chunks are the events", async () => {
  const raw: unknown[] = [];
  const { fullStream } = streamText({
    model: languageModel(model),
    messages: says("?"),
    maxOutputTokens: 3,
    include: { rawChunks: true },
  });
  for await (const part of fullStream) if (part.type === "raw") raw.push(part.rawValue);
  assert.equal(
    raw.map((event) => (event as { index: number }).index),
    [0, 1, 2],
  );
});

test("errors are glimt's, of the AI SDK's kinds where it has them", async () => {
  const ask = (content: object[], more = {}) =>
    generateText({
      model: languageModel(model),
      messages: [{ role: "user", content: content as never }],
      ...more,
    }).catch((thrown: unknown) => thrown);
  const damaged = await ask([{ type: "file", mediaType: "image/png", data: new Uint8Array(64) }]);
  assert.is((damaged as GlimtError).code, "IMAGE_INVALID");
  const pdf = await ask([{ type: "file", mediaType: "application/pdf", data: new Uint8Array(64) }]);
  assert.ok(UnsupportedFunctionalityError.isInstance(pdf));
  const inner = await ask([
    { type: "file", mediaType: "image/png", data: new URL("http://127.0.0.1:9/a.png") },
  ]);
  assert.is((inner as GlimtError).code, "SOURCE_REFUSED");
  const option = await ask([{ type: "text", text: "?" }], { providerOptions: { glimt: { minTokns: 1 } } });
  assert.is((option as GlimtError).code, "OPTION_INVALID");
  assert.not(APICallError.isInstance(option));
});

test("an error of streamText is in its stream", async () => {
  const errors: unknown[] = [];
  const { fullStream } = streamText({
    model: languageModel(model),
    messages: [
      { role: "user", content: [{ type: "file", mediaType: "image/png", data: new Uint8Array(64) }] },
    ],
    onError: ({ error }) => {
      errors.push(error);
    },
  });
  for await (const part of fullStream) if (part.type === "error") assert.ok(part.error instanceof GlimtError);
  assert.is(errors.length, 1);
});

test("what a page of useChat sends is answered by a stream that it reads", async () => {
  const url = `data:image/png;base64,${Buffer.from(picture).toString("base64")}`;
  const messages: UIMessage[] = [
    {
      id: "1",
      role: "user",
      parts: [
        { type: "file", mediaType: "image/png", url },
        { type: "text", text: "Text Recognition:" },
      ],
    },
  ];
  const result = streamText({
    model: languageModel(model),
    messages: await convertToModelMessages(messages),
  });
  const lines = (await result.toUIMessageStreamResponse().text()).split("\n\n");
  const parts = lines.flatMap((line) => (line.startsWith("data: {") ? [JSON.parse(line.slice(6))] : []));
  const deltas = parts.filter(({ type }) => type === "text-delta").map(({ delta }) => delta);
  assert.is(deltas.join(""), "Hello world");
});

test("what may pass is asked again", async () => {
  let tries = 0;
  const failing = () => {
    tries++;
    if (tries < 3) throw new GlimtError("TIMED_OUT", "The server of a picture did not answer.");
    return model;
  };
  const { text } = await generateText({
    model: languageModel(failing),
    messages: [
      {
        role: "user",
        content: [
          { type: "file", mediaType: "image/png", data: picture },
          { type: "text", text: "Text Recognition:" },
        ],
      },
    ],
  });
  assert.is(text, "Hello world");
  assert.is(tries, 3);
});

test("a provider has its models by name, and is one of a registry", async () => {
  let loads = 0;
  const glimt = createGlimt({
    demo: model,
    later: async () => {
      loads++;
      return model;
    },
  });
  const registry = createProviderRegistry({ glimt });
  const ask = () =>
    generateText({ model: registry.languageModel("glimt:later"), prompt: "?", maxOutputTokens: 1 });
  assert.is(loads, 0);
  const answers = await Promise.all([ask(), ask()]);
  assert.is(loads, 1);
  assert.is(answers[0].usage.outputTokens, 1);
  for (const find of [
    () => glimt("other"),
    () => glimt.languageModel("other"),
    () => glimt.imageModel("demo"),
  ]) {
    assert.throws(
      find,
      (error: unknown) => NoSuchModelError.isInstance(error) && error instanceof GlimtError,
    );
  }
  assert.throws(
    () => createGlimt({ demo: {} as Model }),
    (error: unknown) =>
      error instanceof GlimtError && /createGlimt: demo: expected a model/.test(error.message),
  );
});

/** When the last request has given back what it held. */
async function idle(): Promise<void> {
  while (model.stats().running > 0) await new Promise((resume) => setTimeout(resume, 5));
}

test.run();
