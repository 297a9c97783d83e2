/** Bodies that nobody should send: each is read, or refused with an error that says so; nothing else is thrown. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { readLoadAdapter, readUnloadAdapter } from "../../src/protocols/adapters.ts";
import { readAnthropicRequest, readCountTokensRequest } from "../../src/protocols/anthropic/read-request.ts";
import { RequestError } from "../../src/protocols/errors.ts";
import { readOllamaChat } from "../../src/protocols/ollama/read-chat.ts";
import { readOllamaGenerate } from "../../src/protocols/ollama/read-generate.ts";
import { readDetokenizeRequest, readTokenizeRequest } from "../../src/protocols/tokens.ts";
import { fc } from "../property.ts";

const TOOL = { name: "add", description: "sum", input_schema: { type: "object", properties: {} } };
const ANTHROPIC = {
  model: "m",
  system: [{ type: "text", text: "s" }],
  messages: [
    {
      role: "user",
      content: [{ type: "image", source: { type: "base64", media_type: "image/png", data: "AA" } }],
    },
    {
      role: "assistant",
      content: [
        { type: "thinking", thinking: "t", signature: "" },
        { type: "tool_use", id: "1", name: "add", input: {} },
      ],
    },
    { role: "user", content: [{ type: "tool_result", tool_use_id: "1", content: "x" }] },
  ],
  tools: [TOOL],
  tool_choice: { type: "tool", name: "add" },
  thinking: { type: "enabled", budget_tokens: 3 },
};
const OLLAMA = {
  model: "m",
  options: { temperature: 0, stop: ["a"], seed: 1 },
  format: { type: "object" },
  think: true,
  images: ["AA"],
};
const READERS: readonly (readonly [name: string, read: (body: unknown) => unknown, valid: object])[] = [
  [
    "messages",
    readAnthropicRequest,
    { ...ANTHROPIC, max_tokens: 5, stop_sequences: ["a"], output_config: { effort: "low" } },
  ],
  ["count_tokens", readCountTokensRequest, ANTHROPIC],
  [
    "chat",
    readOllamaChat,
    {
      model: "m",
      messages: [
        { role: "user", content: "a", images: ["AA"] },
        { role: "assistant", content: "", tool_calls: [{ function: { name: "add", arguments: {} } }] },
      ],
      tools: [{ type: "function", function: { name: "add", parameters: {} } }],
      options: OLLAMA.options,
    },
  ],
  ["generate", readOllamaGenerate, { ...OLLAMA, prompt: "p", system: "s" }],
  ["tokenize", readTokenizeRequest, { prompt: "a", model: "m" }],
  ["tokenize messages", readTokenizeRequest, { messages: [{ role: "user", content: "a" }] }],
  ["detokenize", readDetokenizeRequest, { tokens: [1, 2] }],
  ["load adapter", readLoadAdapter, { lora_name: "a", lora_path: "b" }],
  ["unload adapter", readUnloadAdapter, { lora_name: "a" }],
];

for (const [name, read, valid] of READERS) {
  test(`${name}: the valid body is read`, () => {
    read(valid);
  });
  test(`${name}: any JSON, and the valid body with any JSON somewhere in it`, () => {
    const places = placesIn(valid);
    const changed = fc
      .tuple(fc.constantFrom(...places), fc.jsonValue({ maxDepth: 3 }))
      .map(([place, value]) => withValue(valid, place, value));
    fc.assert(
      fc.property(fc.oneof(fc.jsonValue({ maxDepth: 3 }), changed), (body) => {
        try {
          read(body);
        } catch (error) {
          assert.ok(error instanceof RequestError, `${JSON.stringify(body)}: ${(error as Error).stack}`);
        }
      }),
    );
  });
}

type Place = readonly (string | number)[];

function placesIn(value: unknown, before: Place = []): Place[] {
  if (typeof value !== "object" || value === null) return [before];
  const keys = Array.isArray(value) ? [...value.keys()] : Object.keys(value);
  const inner = keys.flatMap((key) => placesIn((value as never)[key], [...before, key]));
  return before.length === 0 ? inner : [before, ...inner];
}

function withValue(body: object, place: Place, value: unknown): unknown {
  const copy = structuredClone(body) as Record<string | number, unknown>;
  const [last, ...path] = [...place].reverse();
  const holder = path
    .reverse()
    .reduce<Record<string | number, unknown>>((at, key) => at[key] as typeof copy, copy);
  holder[last as string] = value;
  return copy;
}

test.run();
