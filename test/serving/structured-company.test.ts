/**
 * Structured answers with guesses of both kinds, several to a prompt, in a cache too small for all, and again over what it
 * holds by then: each is the one that its request gives alone.
 */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { GenerateOptions, GenerationChoice, Message, Model } from "../../src/index.ts";
import { chat } from "./company.ts";
import { BACKENDS, isIdle, loadWithPages } from "./few-pages.ts";

const DEMO = "examples/demo/checkpoint";
const N = 2;
/** Of its prompt only the tools are long. */
const TOOLS = [
  {
    name: "tap",
    parameters: {
      type: "object",
      properties: { x: { type: "integer", minimum: 0, maximum: 99 }, how: { enum: ["once", "twice"] } },
      required: ["x"],
    },
  },
];

type Asked = readonly [messages: Message[], options: GenerateOptions & { tools?: readonly object[] }];

const ASKED: readonly Asked[] = [
  [chat("ab ab ab ab", 3), { structured: { regex: "(ab |cd ){3,6}end" }, temperature: 1, seed: 3 }],
  [
    chat("Say it twice."),
    {
      structured: {
        jsonSchema: {
          type: "object",
          properties: { a: { enum: ["hello", "hello there"] }, b: { enum: ["hello", "hello there"] } },
          required: ["a", "b"],
        },
      },
      temperature: 1.5,
      seed: 5,
    },
  ],
  [
    chat("Words"),
    { structured: { grammar: 'root ::= word (" " word){2,4}\nword ::= [a-z]{1,5}' }, temperature: 0 },
  ],
  [chat("Choose"), { structured: { choice: ["red and red", "red and blue"] }, temperature: 2, seed: 9 }],
  [chat("Tap"), { tools: TOOLS, toolChoice: { name: "tap" }, temperature: 1, seed: 2 }],
];
const OPTIONS = { maxTokens: 48, enableThinking: false } as const;

const facts = ({ tokenIds, finishReason, text, toolCalls, topLogits }: GenerationChoice) => ({
  tokenIds,
  finishReason,
  text,
  calls: toolCalls.map(({ name, arguments: given }) => [name, given]),
  topLogits,
});

const together = async (
  model: Model,
  asked: readonly Asked[],
  speculation: GenerateOptions["speculation"],
) => {
  const results = await Promise.all(
    asked.map(([messages, options]) =>
      model.complete(messages, { ...OPTIONS, ...options, n: N, speculation }),
    ),
  );
  return results.map(({ choices }) => choices.map(facts));
};

async function alone(model: Model, asked: readonly Asked[]) {
  const answers: ReturnType<typeof facts>[][] = [];
  for (const [messages, options] of asked) {
    const choices: ReturnType<typeof facts>[] = [];
    for (let k = 0; k < N; k++) {
      const { seed = 0 } = options;
      const given = { ...OPTIONS, ...options, seed: seed + k };
      choices.push(facts((await model.complete(messages, given)).choices[0] as GenerationChoice));
    }
    answers.push(choices);
  }
  return answers;
}

for (const [backend, asked, pages] of [
  [BACKENDS.wasm, ASKED, 46],
  // Without the long prompt of tools.
  [BACKENDS.reference, ASKED.slice(0, 4), 14],
] as const) {
  test(`${backend.name}: with drafts, several answers, few pages and a cache that was filled before`, async () => {
    const roomy = await loadWithPages(backend, 1000, { maxSequences: 1, prefixCache: false }, DEMO);
    const expected = await alone(roomy, asked);
    await roomy.dispose();
    assert.ok(expected.flat().every(({ finishReason }) => finishReason === "stop"));
    for (const speculation of ["mtp", "lookup"] as const) {
      const model = await loadWithPages(backend, pages, { prefillChunk: 48, maxBatchedTokens: 64 }, DEMO);
      for (let time = 0; time < 2; time++) {
        assert.equal(await together(model, asked, speculation), expected, `${speculation}, time ${time}`);
      }
      const { drafts, preemptions, prefixCache } = model.stats();
      assert.ok(drafts.drafted > 0, `${drafts.drafted} drafts`);
      assert.ok(drafts.accepted > 0, `${drafts.accepted} right ones`);
      assert.ok(preemptions > 0, `${preemptions} preemptions`);
      assert.ok(prefixCache.hitTokens > 0);
      assert.ok(isIdle(model));
      await model.dispose();
    }
  });
}

test.run();
