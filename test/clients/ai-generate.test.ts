/** The AI SDK's functions over glimt's models in this process, with the demo checkpoint. */
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { generateText, Output, stepCountIs, streamText, tool } from "ai";
import { test } from "uvu";
import * as assert from "uvu/assert";
import * as z from "zod";
import { createGlimt, languageModel } from "../../src/ai/provider.ts";
import { loadModel, type Model } from "../../src/index.ts";

const CHECKPOINT = "examples/demo/checkpoint";
let model: Model;
let picture: Uint8Array;

test.before(async () => {
  model = await loadModel(CHECKPOINT);
  picture = await readFile("examples/demo/pictures/hello.png");
});
test.after(() => model.dispose());

const READ = "Text Recognition:";
const asked = (text = READ) => [
  {
    role: "user" as const,
    content: [
      { type: "file" as const, mediaType: "image/png", data: picture },
      { type: "text" as const, text },
    ],
  },
];

test("generateText reads a picture, and tells of its tokens", async () => {
  const glimt = createGlimt({ demo: model });
  const result = await generateText({ model: glimt("demo"), messages: asked() });
  assert.is(result.text, "Hello world");
  assert.is(result.finishReason, "stop");
  assert.equal(result.warnings, []);
  const alone = await model.complete([
    {
      role: "user",
      content: [
        { type: "image", image: picture },
        { type: "text", text: READ },
      ],
    },
  ]);
  const { inputTokens, outputTokens, inputTokenDetails } = result.usage;
  assert.is(inputTokens, alone.usage.promptTokens);
  assert.is(outputTokens, alone.usage.completionTokens);
  assert.is(inputTokenDetails.cacheReadTokens, 0);
  assert.is(result.providerMetadata?.glimt?.visionTokens, alone.usage.visionTokens);
  assert.is(result.response.modelId, "demo");
});

test("streamText gives the same text in pieces", async () => {
  const { textStream, usage, finishReason } = streamText({ model: languageModel(model), messages: asked() });
  const pieces: string[] = [];
  for await (const piece of textStream) pieces.push(piece);
  assert.is(pieces.join(""), "Hello world");
  assert.ok(pieces.length > 1);
  assert.is(await finishReason, "stop");
  assert.is((await usage).inputTokenDetails.cacheReadTokens! > 0, true);
});

test("Output.object is of its schema", async () => {
  const schema = z.object({
    line: z.string().max(20),
    kind: z.enum(["words", "numbers"]),
    row: z.number().int().min(1).max(99),
    tags: z.array(z.string().max(5)).max(2),
  });
  const { output } = await generateText({
    model: languageModel(model),
    messages: asked(),
    output: Output.object({ schema }),
  });
  assert.equal(schema.parse(output), output);
});

test("a required tool is called, and the next step has its result", async () => {
  const calls: unknown[] = [];
  const { steps, toolCalls } = await generateText({
    model: languageModel(model),
    messages: asked(),
    tools: {
      save_line: tool({
        description: "Keeps a line.",
        inputSchema: z.object({ row: z.number().int().min(1).max(9), text: z.string().max(10) }),
        execute: async (input) => {
          calls.push(input);
          return { saved: input.row };
        },
      }),
    },
    toolChoice: "required",
    stopWhen: stepCountIs(2),
    maxOutputTokens: 200,
    prepareStep: ({ stepNumber }) => ({
      toolChoice: stepNumber === 0 ? { type: "tool", toolName: "save_line" } : "none",
    }),
  });
  assert.is(steps.length, 2);
  assert.is(steps[0]?.finishReason, "tool-calls");
  assert.equal(calls, [steps[0]?.toolCalls[0]?.input]);
  assert.equal(toolCalls.length, 1);
});

test("a tool's picture is seen in the next step", async () => {
  const { steps } = await generateText({
    model: languageModel(model),
    prompt: "What is on the screen?",
    tools: {
      look: tool({
        inputSchema: z.object({}),
        execute: () => "a picture",
        toModelOutput: () => ({
          type: "content",
          value: [{ type: "file", mediaType: "image/png", data: { type: "data", data: picture } }],
        }),
      }),
    },
    reasoning: "none",
    maxOutputTokens: 40,
    stopWhen: stepCountIs(2),
    prepareStep: ({ stepNumber }) => ({ toolChoice: stepNumber === 0 ? "required" : "none" }),
  });
  const seen = steps.map(({ providerMetadata }) => providerMetadata?.glimt?.visionTokens);
  assert.is(seen[0], 0);
  assert.ok((seen[1] as number) > 0);
});

test("a video is frames that the model sees", async () => {
  const { providerMetadata } = await generateText({
    model: languageModel(model),
    messages: [
      {
        role: "user",
        content: [
          {
            type: "file",
            mediaType: "video/mp4",
            data: await readFile("test/golden/data/movies/h264.mp4"),
            providerOptions: { glimt: { maxFrames: 2 } },
          },
        ],
      },
    ],
    maxOutputTokens: 1,
  });
  assert.ok((providerMetadata?.glimt?.visionTokens as number) > 0);
});

test("an address is fetched by glimt, where its rule allows it", async () => {
  const asks: string[] = [];
  const server = createServer((request, response) => {
    asks.push(String(request.url));
    response.end(picture);
  });
  await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
  const { port } = server.address() as AddressInfo;
  const data = new URL(`http://127.0.0.1:${port}/hello.png`);
  const ask = (sources: "any" | "inline") =>
    generateText({
      model: languageModel(model, { sources }),
      messages: [
        {
          role: "user",
          content: [
            { type: "file", mediaType: "image", data },
            { type: "text", text: READ },
          ],
        },
      ],
    });
  try {
    await ask("inline").then(
      () => assert.unreachable(),
      (error) => assert.is(error.code, "SOURCE_REFUSED"),
    );
    assert.equal(asks, []);
    assert.is((await ask("any")).text, "Hello world");
    assert.equal(asks, ["/hello.png"]);
  } finally {
    server.close();
  }
});

test("an agent calls a tool first, and ends with an object", async () => {
  const schema = z.object({ line: z.string().max(12) });
  let leans = 100;
  const [call] = (await model.tokenize("<tool_call>", { addSpecialTokens: false })) as [number];
  const { output, steps } = await generateText({
    model: languageModel(model),
    messages: asked(),
    tools: {
      look: tool({
        inputSchema: z.object({ row: z.number().int().min(1).max(9) }),
        execute: ({ row }) => `row ${row}`,
      }),
    },
    output: Output.object({ schema }),
    stopWhen: stepCountIs(3),
    reasoning: "none",
    prepareStep: () => {
      const providerOptions = { glimt: { logitBias: { [call]: leans } } };
      leans = -90;
      return { providerOptions };
    },
  });
  assert.equal(schema.parse(output), output);
  assert.ok((steps[0]?.toolCalls.length ?? 0) > 0);
});

test.run();
