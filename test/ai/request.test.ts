/** Calls of the AI SDK as requests: settings, tools, formats, reasoning, and warnings of what there is not. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { CallOptions } from "../../src/ai/contract.ts";
import { requestOf } from "../../src/ai/request.ts";
import { GlimtError } from "../../src/errors.ts";

const CONTEXT = { canThink: true, context: 65_536, sources: undefined };
const PLAIN = { specialTokensInText: "text" };
const prompt: CallOptions["prompt"] = [{ role: "user", content: [{ type: "text", text: "?" }] }];
const request = (call: Partial<CallOptions>, context = {}) =>
  requestOf({ prompt, ...call }, { ...CONTEXT, ...context });

const look = { type: "function" as const, name: "look", inputSchema: { type: "object" } };
const offered = {
  tools: [{ type: "function", function: { name: "look", parameters: { type: "object" } } }],
};
const schema = { type: "object", properties: { a: { type: "string" } } };

const CASES: readonly [name: string, call: Partial<CallOptions>, options: object][] = [
  ["nothing", {}, {}],
  [
    "settings",
    {
      maxOutputTokens: 9,
      temperature: 0.5,
      topP: 0.9,
      topK: 4,
      presencePenalty: 1,
      frequencyPenalty: -1,
      seed: 7,
      stopSequences: ["."],
    },
    {
      maxTokens: 9,
      temperature: 0.5,
      topP: 0.9,
      topK: 4,
      presencePenalty: 1,
      frequencyPenalty: -1,
      seed: 7,
      stop: ["."],
    },
  ],
  ["text", { responseFormat: { type: "text" } }, {}],
  ["JSON of a schema", { responseFormat: { type: "json", schema } }, { structured: { jsonSchema: schema } }],
  [
    "any JSON",
    { responseFormat: { type: "json" } },
    { structured: { jsonSchema: { type: ["object", "array"] } } },
  ],
  ["tools", { tools: [look] }, { ...offered, toolChoice: "auto" }],
  ["tools, no call", { tools: [look], toolChoice: { type: "none" } }, { ...offered, toolChoice: "none" }],
  [
    "tools, a call",
    { tools: [look], toolChoice: { type: "required" } },
    { ...offered, toolChoice: "required" },
  ],
  [
    "tools, this one",
    { tools: [look], toolChoice: { type: "tool", toolName: "look" } },
    { ...offered, toolChoice: { name: "look" } },
  ],
  ["a tool that is not strict", { tools: [{ ...look, strict: false }] }, offered],
  [
    "a call before JSON",
    { tools: [look], toolChoice: { type: "required" }, responseFormat: { type: "json", schema } },
    { ...offered, toolChoice: "required" },
  ],
  [
    "calls or JSON",
    { tools: [look], responseFormat: { type: "json", schema } },
    { ...offered, toolChoice: "auto", structured: { jsonSchema: schema } },
  ],
  [
    "calls or JSON, of a tool that is not strict",
    { tools: [{ ...look, strict: false }], responseFormat: { type: "json", schema } },
    { ...offered, toolChoice: "auto", structured: { jsonSchema: schema } },
  ],
  ["a choice among no tools", { toolChoice: { type: "auto" } }, {}],
  ["no reasoning", { reasoning: "none" }, { enableThinking: false, thinkingBudget: 0 }],
  [
    "some reasoning",
    { reasoning: "low" },
    { enableThinking: true, thinkingBudget: 1024, maxTokens: 1024 + 2048 },
  ],
  [
    "reasoning leaves room for the answer",
    { reasoning: "high", maxOutputTokens: 1000 },
    { enableThinking: true, thinkingBudget: 750, maxTokens: 1000 },
  ],
  [
    "all reasoning that the context has",
    { reasoning: "max" },
    { enableThinking: true, thinkingBudget: 65_536, maxTokens: 65_536 },
  ],
  [
    "glimt's own options, which win",
    { reasoning: "low", providerOptions: { glimt: { thinkingBudget: 5, specialTokensInText: "parse" } } },
    { enableThinking: true, thinkingBudget: 5, maxTokens: 3072, specialTokensInText: "parse" },
  ],
  ["options of others", { providerOptions: { openai: { store: true } } }, {}],
];

for (const [name, call, options] of CASES) {
  test(name, () => {
    const made = request(call);
    assert.equal(made.options, { ...PLAIN, ...options });
    assert.equal(made.warnings, []);
  });
}

test("sources are those of the provider, and of the call before them", () => {
  assert.is(request({}, { sources: "inline" }).options.sources, "inline");
  const own = { providerOptions: { glimt: { sources: "any" } } };
  assert.is(request(own, { sources: "inline" }).options.sources, "any");
});

const WARNED: readonly [name: string, call: Partial<CallOptions>, context: object, warning: RegExp][] = [
  ["reasoning of a model that has none", { reasoning: "high" }, { canThink: false }, /"feature":"reasoning"/],
  ["topP without temperature", { topP: 0.5 }, {}, /topP has no effect/],
  ["topK at temperature 0", { topK: 5, temperature: 0 }, {}, /topK has no effect/],
  [
    "a tool of a provider",
    { tools: [{ type: "provider", id: "openai.web_search", name: "web" }] },
    {},
    /provider-defined tool openai.web_search/,
  ],
  [
    "examples of a tool",
    { tools: [{ ...look, inputExamples: [{ input: {} }] }] },
    {},
    /inputExamples of tool look/,
  ],
];

for (const [name, call, context, expected] of WARNED) {
  test(`warning: ${name}`, () => {
    const { warnings } = request(call, context);
    assert.is(warnings.length, 1);
    assert.match(JSON.stringify(warnings[0]), expected);
  });
}

const REFUSED: readonly [name: string, call: Partial<CallOptions>, message: RegExp][] = [
  ["a prompt that is none", { prompt: "?" as never }, /prompt: expected a list/],
  ["another reasoning", { reasoning: "lots" as never }, /reasoning is "lots"/],
  ["a name that all objects have", { reasoning: "constructor" as never }, /reasoning is "constructor"/],
  ["the same of an option", { providerOptions: { glimt: { toString: 1 } } }, /has no option "toString"/],
  ["a misspelt option", { providerOptions: { glimt: { minTokns: 4 } } }, /has no option "minTokns"/],
  ["a setting of the AI SDK", { providerOptions: { glimt: { maxTokens: 4 } } }, /maxOutputTokens/],
  ["several answers", { providerOptions: { glimt: { n: 2 } } }, /glimt\.n can not be had/],
];

for (const [name, call, expected] of REFUSED) {
  test(`refused: ${name}`, () => {
    assert.throws(
      () => request(call),
      (error: unknown) => error instanceof GlimtError && expected.test(error.message),
    );
  });
}

test.run();
