/** Ollama's bodies and answers. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { readOllamaChat } from "../../src/protocols/ollama/read-chat.ts";
import { readOllamaGenerate } from "../../src/protocols/ollama/read-generate.ts";
import {
  chatForm,
  generateForm,
  ollamaAnswer,
  ollamaLines,
} from "../../src/protocols/ollama/write-answer.ts";
import { all, call, messageOf, resultOf, runOf, text, thought } from "./run-events.ts";

const CHAT = { model: "m", messages: [{ role: "user", content: "hi" }] };
const GENERATE = { model: "m", prompt: "hi" };

test("a chat with a picture, a call and its result", () => {
  const { prompt, stream } = readOllamaChat({
    model: "m",
    messages: [
      { role: "user", content: "1+1?", images: ["AAAA"] },
      {
        role: "assistant",
        content: "",
        thinking: "hm",
        tool_calls: [{ function: { name: "add", arguments: { a: 1 } } }],
      },
      { role: "tool", tool_name: "add", content: "2" },
    ],
  });
  assert.is(stream, true);
  assert.equal(prompt, [
    {
      role: "user",
      content: [
        { type: "image", image: "data:;base64,AAAA" },
        { type: "text", text: "1+1?" },
      ],
    },
    {
      role: "assistant",
      content: "",
      reasoning_content: "hm",
      tool_calls: [{ id: "call_0", type: "function", function: { name: "add", arguments: { a: 1 } } }],
    },
    { role: "tool", content: "2", name: "add" },
  ]);
});

test("options", () => {
  const { options, stream } = readOllamaChat({
    ...CHAT,
    stream: false,
    keep_alive: "5m",
    think: "high",
    format: "json",
    logprobs: true,
    top_logprobs: 2,
    options: {
      num_ctx: 8192,
      num_predict: 5,
      seed: 3,
      stop: "END",
      temperature: 0,
      top_k: 1,
      top_p: 0.00001,
      min_p: 0.1,
      repeat_penalty: 1.1,
      repeat_last_n: -1,
    },
  });
  assert.is(stream, false);
  assert.equal(defined(options), {
    maxTokens: 5,
    seed: 3,
    stop: ["END"],
    temperature: 0,
    topK: 1,
    topP: 0.00001,
    minP: 0.1,
    repetitionPenalty: 1.1,
    enableThinking: true,
    structured: { jsonSchema: { type: "object" } },
    logprobs: true,
    topLogprobs: 2,
  });
});

test("what draws or never ends in Ollama is left out", () => {
  const { options } = readOllamaChat({ ...CHAT, options: { num_predict: -1, seed: -1, stop: [] } });
  assert.equal(defined(options), {});
});

test("a completion is one turn", () => {
  const { prompt } = readOllamaGenerate({
    ...GENERATE,
    system: "be brief",
    images: ["AAAA"],
    raw: false,
    context: [],
  });
  assert.equal(prompt, [
    { role: "system", content: "be brief" },
    {
      role: "user",
      content: [
        { type: "image", image: "data:;base64,AAAA" },
        { type: "text", text: "hi" },
      ],
    },
  ]);
  assert.equal(readOllamaGenerate({ model: "m" }).prompt, []);
});

const REFUSED: readonly (readonly [name: string, task: () => unknown, expected: RegExp])[] = [
  ["raw", () => readOllamaGenerate({ ...GENERATE, raw: true }), /^raw is not supported/],
  ["template", () => readOllamaGenerate({ ...GENERATE, template: "x" }), /^template is not supported/],
  ["suffix", () => readOllamaGenerate({ ...GENERATE, suffix: "x" }), /^suffix is not supported/],
  ["context", () => readOllamaGenerate({ ...GENERATE, context: [1] }), /^context is not supported/],
  [
    "mirostat",
    () => readOllamaChat({ ...CHAT, options: { mirostat: 1 } }),
    /^options\.mirostat is not supported/,
  ],
  ["no token", () => readOllamaChat({ ...CHAT, options: { num_predict: 0 } }), /^options\.num_predict is 0/],
  [
    "an unknown option",
    () => readOllamaChat({ ...CHAT, options: { top_kk: 1 } }),
    /^options\.top_kk is no field/,
  ],
  ["an unknown field", () => readOllamaChat({ ...CHAT, msgs: 1 }), /^msgs is no field/],
  ["another format", () => readOllamaChat({ ...CHAT, format: "xml" }), /^format is "xml"/],
  ["no model", () => readOllamaChat({ messages: [] }), /^model is missing/],
  ["a number as picture", () => readOllamaGenerate({ ...GENERATE, images: [1] }), /^images is/],
];
for (const [name, task, expected] of REFUSED) {
  test(`refused: ${name}`, () => assert.match(messageOf(task), expected));
}

test("no path is read as a picture's address", () => {
  const { prompt } = readOllamaGenerate({ ...GENERATE, images: ["/etc/passwd", "file:///etc/passwd"] });
  const [{ content } = { content: [] }] = prompt;
  assert.equal(
    (content as { image?: string }[]).slice(0, 2).map(({ image }) => image),
    ["data:;base64,/etc/passwd", "data:;base64,file:///etc/passwd"],
  );
});

const PARTS = [
  thought("so"),
  text(""),
  text("It is 2."),
  call(0, "", "add"),
  call(0, '{"a":1}'),
  call(1, "{}", "stop"),
];
const RESULT = resultOf({
  reasoning: "so",
  content: "It is 2.",
  toolCalls: [
    { id: "call_0", name: "add", arguments: '{"a":1}' },
    { id: "call_1", name: "stop", arguments: "{}" },
  ],
});
const CALLS = [
  { id: "call_0", function: { index: 0, name: "add", arguments: { a: 1 } } },
  { id: "call_1", function: { index: 1, name: "stop", arguments: {} } },
];
const FIGURES = {
  done: true,
  done_reason: "stop",
  total_duration: 7_000_000,
  load_duration: 0,
  prompt_eval_count: 10,
  prompt_eval_duration: 3_000_000,
  eval_count: 4,
  eval_duration: 3_500_000,
};

test("a chat's answer at once", () => {
  assert.equal(untimed(ollamaAnswer(RESULT, "m", chatForm)), {
    model: "m",
    message: { role: "assistant", content: "It is 2.", thinking: "so", tool_calls: CALLS },
    ...FIGURES,
  });
});

test("a chat's answer in lines: each call at once, when the next begins or nothing follows", async () => {
  const lines = await all(ollamaLines(runOf(PARTS, RESULT), "m", chatForm));
  assert.equal(
    lines.map((line) => untimed(line)),
    [
      { model: "m", message: { role: "assistant", content: "", thinking: "so" }, done: false },
      { model: "m", message: { role: "assistant", content: "It is 2." }, done: false },
      { model: "m", message: { role: "assistant", content: "", tool_calls: [CALLS[0]] }, done: false },
      { model: "m", message: { role: "assistant", content: "", tool_calls: [CALLS[1]] }, done: false },
      { model: "m", message: { role: "assistant", content: "" }, ...FIGURES },
    ],
  );
});

test("a call that the end cut off is left out", async () => {
  const cut = [call(0, '{"a', "add")];
  const lines = await all(ollamaLines(runOf(cut, resultOf({ finishReason: "length" })), "m", chatForm));
  assert.is(lines.length, 1);
  assert.is((lines[0] as { done_reason?: string }).done_reason, "length");
});

test("a completion's answer", async () => {
  const lines = await all(ollamaLines(runOf([text("It")], RESULT), "m", generateForm));
  assert.equal(
    lines.map((line) => untimed(line)),
    [
      { model: "m", response: "It", done: false },
      { model: "m", response: "", ...FIGURES },
    ],
  );
});

function untimed(line: object): object {
  const { created_at: time, ...others } = line as { created_at: string };
  assert.match(time, /^\d{4}-\d\d-\d\dT/);
  return others;
}

function defined(options: object): object {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

test.run();
