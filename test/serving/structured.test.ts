/** Structured answers: whole ones parse and hold, each token is the likeliest of those allowed, company changes nothing. */
import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openDirectory } from "../../src/checkpoint/directory.node.ts";
import { Matcher, type State } from "../../src/grammar/matcher.ts";
import { compileStructured, type StructuredText } from "../../src/grammar/structured.ts";
import {
  type GenerateOptions,
  type GenerationResult,
  loadModel,
  type Model,
  type StructuredOptions,
} from "../../src/index.ts";
import { loadTokenizer } from "../../src/text/tokenizer.ts";
import { chat } from "./company.ts";

const MODEL = "test/golden/data/glm_ocr-tiny";
const wasm = { backend: "wasm", threads: 1 } as const;
const plain = { enableThinking: false } as const;
const asked = chat("Hello", 3);
const words = [{ role: "user", content: "Hello" }] as const;
const model = await loadModel(MODEL, wasm);
const tokenizer = await loadTokenizer(await openDirectory(MODEL));

const SCHEMA = {
  type: "object",
  properties: {
    kind: { enum: ["invoice", "letter"] },
    total: { type: "number", minimum: 0, maximum: 100 },
    lines: { type: "array", items: { type: "string", maxLength: 3 }, maxItems: 2 },
  },
  required: ["kind", "total", "lines"],
};

const holds = (text: string) => {
  const { kind, total, lines, ...others } = JSON.parse(text);
  assert.equal(others, {});
  assert.ok(["invoice", "letter"].includes(kind));
  assert.ok(total >= 0 && total <= 100);
  assert.ok(
    lines.length <= 2 && lines.every((line: unknown) => typeof line === "string" && [...line].length <= 3),
  );
};

const FORMS: readonly [GenerateOptions["structured"] & object, (text: string) => void][] = [
  [{ jsonSchema: SCHEMA }, holds],
  [{ jsonSchema: JSON.stringify(SCHEMA) }, holds],
  [{ regex: "[A-Z][a-z]{2,5}-\\d{3}" }, (text) => assert.match(text, /^[A-Z][a-z]{2,5}-\d{3}$/)],
  [{ regex: /(ja|nein|日本)+!/u }, (text) => assert.match(text, /^(ja|nein|日本)+!$/)],
  [{ choice: ["yes", "no", "yes and no"] }, (text) => assert.ok(["yes", "no", "yes and no"].includes(text))],
  [
    { grammar: 'root ::= "(" [a-z]{1,3} ("," [0-9]){2} ")"' },
    (text) => assert.match(text, /^\([a-z]{1,3}(,\d){2}\)$/),
  ],
];

for (const [structured, check] of FORMS) {
  test(`${JSON.stringify(structured).slice(0, 60)}: greedy and sampled answers are of it`, async () => {
    for (const settings of [
      {},
      { temperature: 1, seed: 1 },
      { temperature: 2, seed: 2 },
      { temperature: 1, topK: 3, seed: 3 },
    ]) {
      const result = await model.complete(asked, { ...plain, structured, ...settings, maxTokens: 400 });
      if (result.finishReason === "stop") check(result.text);
      else assert.ok("regex" in structured, `${result.text} did not end`);
      assert.is(result.content, result.text);
    }
  });
}

test("each token of a greedy answer is the likeliest of those that the grammar takes", async () => {
  const structured = { jsonSchema: SCHEMA };
  const inputs = await model.process(words, plain);
  const result = await model.complete(inputs, { structured, maxTokens: 60 });
  const source: StructuredText = { kind: "jsonSchema", source: JSON.stringify(SCHEMA) };
  const matcher = new Matcher(compileStructured(source));
  const added = new Set(tokenizer.addedTokens.map((token) => tokenizer.idOf(token)));
  const ends = [336, 343];
  let state = matcher.start;
  for (const [index, token] of result.tokenIds.entries()) {
    matcher.beginWork();
    const allowedTokenIds = Array.from({ length: model.config.text.vocabSize }, (_, id) => id).filter(
      (id) => {
        if (ends.includes(id)) return state.isComplete;
        const bytes = added.has(id) ? new Uint8Array() : tokenizer.bytesOf(id);
        return bytes.length > 0 && matcher.afterBytes(state, bytes) !== null;
      },
    );
    const inputIds = [...inputs.inputIds, ...result.tokenIds.slice(0, index)];
    const alone = await model.complete({ inputIds }, { maxTokens: 1, allowedTokenIds });
    assert.equal(alone.tokenIds, [token]);
    if (!ends.includes(token)) state = matcher.afterBytes(state, tokenizer.bytesOf(token)) as State;
  }
  assert.ok(result.tokenIds.length > 20);
});

const same = ({ tokenIds, finishReason, text }: GenerationResult) => ({ tokenIds, finishReason, text });

test("in company, and with guesses, an answer is the one that it is alone", async () => {
  const options = FORMS.map(([structured], index) => ({
    ...plain,
    structured,
    temperature: 1,
    seed: index,
    maxTokens: 80,
  }));
  const alone: object[] = [];
  for (const option of options) alone.push(same(await model.complete(asked, option)));
  const together = await Promise.all(options.map((option) => model.complete(asked, option)));
  assert.equal(together.map(same), alone);
  const guessed = await Promise.all(
    options.map((option) => model.complete(asked, { ...option, speculation: "lookup" })),
  );
  assert.equal(guessed.map(same), alone);
});

test("what is not structured does not change beside what is", async () => {
  const options = { maxTokens: 20, seed: 1, temperature: 1 };
  const alone = same(await model.complete(asked, options));
  const [beside] = await Promise.all([
    model.complete(asked, options),
    model.complete(asked, { ...plain, structured: { jsonSchema: SCHEMA } }),
  ]);
  assert.equal(same(beside), alone);
});

test("several answers to one prompt are each of the grammar", async () => {
  const { choices } = await model.complete(asked, {
    ...plain,
    structured: { choice: ["red", "green", "blue"] },
    n: 3,
    temperature: 2,
    seed: 5,
  });
  for (const { text } of choices) assert.ok(["red", "green", "blue"].includes(text), text);
});

test("thinking is free, and can not end the answer; what follows it is of the grammar", async () => {
  const opened = await model.process(words, plain);
  const think = tokenizer.idOf("<think>") as number;
  const close = tokenizer.idOf("</think>") as number;
  const inputIds = [...opened.inputIds.slice(0, opened.inputIds.lastIndexOf(think)), think];
  const result = await model.complete(
    { inputIds },
    { structured: { choice: ["yes", "no"] }, thinkingBudget: 5, maxTokens: 40 },
  );
  const end = result.tokenIds.indexOf(close);
  assert.ok(end >= 0 && end <= 5, "thinking ends");
  assert.ok(["yes", "no"].includes(tokenizer.decode(result.tokenIds.slice(end + 1))), result.text);
  assert.is(result.finishReason, "stop");
});

// The flag is younger than the version that this is compiled for.
const SETS = "v";
const WITH_SETS = new RegExp("[\\w&&\\d]", SETS);

const WRONG: readonly [options: object, expected: RegExp][] = [
  [{ structured: {} }, /structured has none of jsonSchema, regex, choice, grammar, expected exactly one/],
  [{ structured: { regex: "a", choice: ["b"] } }, /has regex and choice of/],
  [{ structured: { json: {} } }, /structured has no option "json"|json/],
  [{ structured: "json" }, /structured is "json", expected \{ jsonSchema \}/],
  [{ structured: { regex: /a/i } }, /has the flags i/],
  [{ structured: { regex: WITH_SETS } }, /has the flags v, of which only d, g and u change nothing/],
  [{ structured: { regex: "(a" } }, /structured\.regex: at character 1/],
  [{ structured: { choice: [] } }, /structured\.choice is empty/],
  [{ structured: { choice: ["a", 1] } }, /structured\.choice\[1\] is 1, expected a string/],
  [{ structured: { jsonSchema: { const: Number.NaN } } }, /structured\.jsonSchema has the number NaN/],
  [{ structured: { jsonSchema: "{" } }, /structured\.jsonSchema is no JSON/],
  [
    { structured: { jsonSchema: { type: "array", uniqueItems: true } } },
    /structured\.jsonSchema\.uniqueItems/,
  ],
  [{ structured: { grammar: 'root ::= root "a" | "b"' } }, /begins with itself/],
  [{ toolChoice: "any" }, /toolChoice is "any", expected/],
  [{ toolChoice: "required" }, /the prompt offers none/],
  [{ structured: { regex: "a" }, toolChoice: "required" }, /exclude each other/],
  [{ structured: { regex: "a" }, toolChoice: "auto" }, /the prompt offers none/],
  [{ structured: { regex: "a" }, ignoreEos: true }, /ignoreEos/],
];

for (const [options, expected] of WRONG) {
  test(`${JSON.stringify(options).slice(0, 70)} is refused, and the model stays usable`, async () => {
    await model.complete(asked, { ...plain, ...options }).then(
      () => assert.unreachable("it was taken"),
      (error) => {
        assert.is(error.code, "OPTION_INVALID", error.stack);
        assert.match(error.message, expected);
      },
    );
  });
}

test("a circle is no schema, and an abort while one is read is heard", async () => {
  const circle: Record<string, unknown> = {};
  circle.items = circle;
  await model.complete(asked, { structured: { jsonSchema: circle } }).then(
    () => assert.unreachable(),
    (error) => assert.match(error.message, /structured\.jsonSchema can not be read/),
  );
  const stop = new AbortController();
  const structured = { regex: `(${"a{90000}|".repeat(4)}b)` };
  const run = model.complete(asked, { ...plain, structured, signal: stop.signal });
  setTimeout(() => stop.abort(), 5);
  await run.then(
    () => assert.unreachable(),
    (error) => assert.is(error.code, "ABORTED"),
  );
});

const TEMPLATE = `[gMASK]<sop>
{%- for tool in tools or [] %}<|system|>{{ tool | tojson }}{% endfor %}
{%- for message in messages %}<|{{ message.role }}|>
{% if message.content is string %}{{ message.content }}{% else %}{% for part in message.content %}{{ part.text }}{% endfor %}{% endif %}
{%- for call in message.tool_calls or [] %}{{ '<tool_call>' + call.function.name }}
{%- for key, value in call.function.arguments.items() %}{{ SEPARATOR }}<arg_key>{{ key }}</arg_key>{{ SEPARATOR }}<arg_value>{{ value if value is string else value | tojson }}</arg_value>{% endfor -%}
{{ SEPARATOR }}</tool_call>{% endfor %}
{%- endfor %}
{%- if add_generation_prompt %}<|assistant|><think></think>{% endif %}`;

const tools = [
  {
    type: "function",
    function: {
      name: "tap",
      parameters: {
        type: "object",
        properties: {
          x: { type: "integer", minimum: 0, maximum: 999 },
          label: { type: "string", maxLength: 5 },
          how: { type: "string", enum: ["once", "twice"] },
        },
        required: ["x", "label"],
      },
    },
  },
  { type: "function", function: { name: "back" } },
];

async function withTools(separator: string, use: (model: Model) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "glimt-tools-"));
  try {
    cpSync(MODEL, folder, { recursive: true });
    writeFileSync(
      join(folder, "chat_template.jinja"),
      TEMPLATE.replaceAll("SEPARATOR", JSON.stringify(separator)),
    );
    await using loaded = await loadModel(folder, wasm);
    await use(loaded);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

for (const separator of ["", "\n"]) {
  test(`calls of tools are well formed, with ${JSON.stringify(separator)} between their parts`, async () => {
    await withTools(separator, async (model) => {
      for (const seed of [1, 2, 3, 4]) {
        const options = { tools, temperature: 1, seed, maxTokens: 150 };
        const named = await model.complete(words, { ...options, toolChoice: { name: "tap" } });
        assert.is(named.finishReason, "stop", named.text);
        assert.is(named.toolCalls.length, 1);
        const [call] = named.toolCalls as [(typeof named.toolCalls)[number]];
        assert.is(call.name, "tap");
        const { x, label, how = "once" } = JSON.parse(call.arguments);
        assert.ok(Number.isInteger(x) && x >= 0 && x <= 999, call.arguments);
        assert.ok(typeof label === "string" && [...label].length <= 5, call.arguments);
        assert.ok(["once", "twice"].includes(how), call.arguments);

        const required = await model.complete(words, { ...options, toolChoice: "required" });
        assert.ok(required.toolCalls.length >= 1, required.text);
        for (const { name } of required.toolCalls) assert.ok(["tap", "back"].includes(name));

        const none = await model.complete(words, { ...options, toolChoice: "none", maxTokens: 30 });
        assert.equal(none.toolCalls, []);
        const auto = await model.complete(words, { ...options, toolChoice: "auto", maxTokens: 60 });
        for (const { name } of auto.toolCalls) assert.ok(["tap", "back"].includes(name));
      }
    });
  });
}

test("with auto and a form beside it the answer is calls or that form, each wherever the model leans", async () => {
  await withTools("", async (model) => {
    const call = tokenizer.idOf("<tool_call>") as number;
    // It may stand before calls.
    const newline = tokenizer.encode("\n")[0] as number;
    const ask = (logitBias: Record<number, number>) =>
      model.complete(words, {
        tools,
        toolChoice: "auto",
        structured: { choice: ["yes", "no"] },
        logitBias,
        temperature: 1,
        seed: 3,
        maxTokens: 150,
      });
    const called = await ask({ [call]: 100 });
    assert.ok(called.toolCalls.length >= 1, called.text);
    assert.is(called.content, "");
    const said = await ask({ [call]: -100, [newline]: -100 });
    assert.equal(said.toolCalls, []);
    assert.ok(["yes", "no"].includes(said.content), said.text);
  });
});

test("a tool that is not offered, and a template without calls, are refused", async () => {
  await withTools("", async (model) => {
    await model.complete(words, { tools, toolChoice: { name: "swipe" } }).then(
      () => assert.unreachable(),
      (error) => assert.match(error.message, /toolChoice names "swipe", and the prompt offers tap, back/),
    );
  });
});

test.after(() => model.dispose());
test("types ask for exactly one kind", () => {
  const some: StructuredOptions[] = [
    { regex: /a/ },
    { choice: ["a"], grammar: undefined },
    { jsonSchema: true },
  ];
  // @ts-expect-error none
  some.push({});
  // @ts-expect-error two
  some.push({ regex: "a", grammar: "" });
  assert.is(some.length, 5);
});

test.run();
