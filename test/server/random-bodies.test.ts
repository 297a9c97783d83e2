/** Whatever is sent: it is answered or refused in words, never a failure of the server. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Model } from "../../src/index.ts";
import { createServer, type GlimtServer } from "../../src/server/server.ts";
import { fc } from "../property.ts";
import { loadDemo, pictureUrl, post, readingOf } from "./demo.ts";

let model: Model;
let server: GlimtServer;
test.before(async () => {
  model = await loadDemo();
  server = createServer(model, { name: "demo", sources: "inline", limits: { maxTokens: 2 } });
});
test.after(() => model.dispose());

type Json = unknown;
const FUNCTION = { name: "save", parameters: { type: "object", properties: { row: { type: "integer" } } } };
/** Bodies that are answered, with most fields that there are. */
const BODIES: readonly (readonly [path: string, body: Json])[] = [
  [
    "/v1/chat/completions",
    {
      model: "demo",
      messages: [
        { role: "system", content: "Be brief." },
        ...readingOf(pictureUrl()),
        {
          role: "assistant",
          content: null,
          reasoning: "Hm.",
          tool_calls: [{ id: "a", type: "function", function: { name: "save", arguments: '{"row":1}' } }],
        },
        { role: "tool", tool_call_id: "a", content: [{ type: "text", text: "saved" }] },
      ],
      tools: [{ type: "function", function: FUNCTION }],
      tool_choice: "auto",
      parallel_tool_calls: false,
      n: 2,
      seed: -4,
      temperature: 1,
      top_p: 0.5,
      top_k: -1,
      min_p: 0.1,
      presence_penalty: 1,
      repetition_penalty: 1.1,
      logit_bias: { "3": -100 },
      logprobs: true,
      top_logprobs: 2,
      stop: ["x", "y"],
      bad_words: ["z"],
      min_tokens: 1,
      thinking_token_budget: 3,
      repetition_detection: { max_pattern_size: 8, min_count: 4 },
      chat_template_kwargs: { enable_thinking: false },
      max_completion_tokens: 2,
    },
  ],
  [
    "/v1/chat/completions",
    {
      messages: [{ role: "user", content: "hi" }],
      stream: true,
      stream_options: { include_usage: true, continuous_usage_stats: true },
      response_format: { type: "json_schema", json_schema: { name: "a", schema: { type: "object" } } },
      reasoning_effort: "none",
      cache_salt: "salt",
      priority: 3,
    },
  ],
  ["/v1/completions", { prompt: ["One", "Two"], n: 2, echo: true, max_tokens: 2, stream: true, stop: "a" }],
  ["/v1/completions", { prompt: [[1, 2], [3]], logprobs: 1, guided_choice: ["a", "b"] }],
  [
    "/v1/responses",
    {
      input: [
        { role: "user", content: [{ type: "input_text", text: "hi" }] },
        { type: "reasoning", content: [{ type: "reasoning_text", text: "Hm." }], summary: [] },
        { type: "function_call", call_id: "a", name: "save", arguments: "{}" },
        { type: "function_call_output", call_id: "a", output: "saved" },
      ],
      instructions: "Be brief.",
      tools: [{ type: "function", ...FUNCTION }],
      text: { format: { type: "text" } },
      reasoning: { effort: "low" },
      max_output_tokens: 2,
      stream: true,
    },
  ],
];

/** What stands where something else was. */
const odd = fc.oneof(
  fc.constantFrom<Json>(null, true, -1, 0, 1.5, 1e300, "", "\u0000", "\ud800", "data:,", "__proto__", [], {}),
  fc.constantFrom<Json>([[]], [null], { type: "text" }, { toString: 1 }, { url: "" }, "🙂".repeat(40)),
  fc.jsonValue({ maxDepth: 3 }),
);

/** Replaces, leaves out or adds something at a place that the numbers choose. */
function changed(value: Json, [first = 0, ...rest]: readonly number[], other: Json): Json {
  if (rest.length === 0 || typeof value !== "object" || value === null) return other;
  const keys = Object.keys(value);
  if (keys.length === 0) return other;
  const key = keys[first % keys.length] as string;
  if (Array.isArray(value)) {
    return first % 7 === 6
      ? [...value, other]
      : value.map((item, index) => (String(index) === key ? changed(item, rest, other) : item));
  }
  if (first % 7 === 6) return { ...value, [`${key}s`]: other };
  return { ...value, [key]: changed((value as Record<string, Json>)[key], rest, other) };
}

async function check(request: Request): Promise<void> {
  const response = await server.fetch(request);
  const text = await response.text();
  assert.ok(response.status < 500, `${response.status}: ${text}`);
  if (response.status === 200) return assert.not.match(text, /"server_error"/);
  const { error } = JSON.parse(text);
  assert.type(error.message, "string");
  assert.ok(error.message.length < 2000, error.message);
}

test("bodies that are answered", async () => {
  for (const [path, body] of BODIES) {
    const response = await server.fetch(post(path, body));
    assert.is(response.status, 200, await response.text());
  }
});

test("bodies that are changed somewhere", async () => {
  const place = fc.array(fc.nat(20), { minLength: 1, maxLength: 7 });
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...BODIES), place, odd, async ([path, body], at, other) => {
      await check(post(path, changed(body, at, other)));
    }),
    { numRuns: 400 },
  );
});

test("bodies that are anything", async () => {
  const path = fc.constantFrom("/v1/chat/completions", "/v1/completions", "/v1/responses", "/tokenize");
  const body = fc.oneof(
    fc.jsonValue().map((value) => JSON.stringify(value)),
    fc.string(),
    fc.constant("[".repeat(100_000)),
  );
  await fc.assert(
    fc.asyncProperty(path, body, (to, text) => check(post(to, text))),
    { numRuns: 300 },
  );
});

test("the server still answers, and nothing is under way", async () => {
  const response = await server.fetch(post("/v1/chat/completions", { messages: readingOf(pictureUrl()) }));
  assert.is(response.status, 200);
  assert.equal([model.stats().running, model.stats().waiting], [0, 0]);
});

test.run();
