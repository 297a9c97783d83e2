/** Answers in parts as their tokens come: the same however they are cut, and what whole texts and templates say. */
import { readFileSync } from "node:fs";
import type { Arbitrary } from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { parseExactJson } from "../../src/json/exact.ts";
import { AnswerText } from "../../src/serving/answer-text.ts";
import { AnswerParser } from "../../src/text/answer/answer-parser.ts";
import type { AnswerPart } from "../../src/text/answer/parts.ts";
import { textParameters } from "../../src/text/answer/tool-schemas.ts";
import { ChatTemplate } from "../../src/text/chat-template.ts";
import { createTokenizer } from "../../src/text/tokenizer.ts";
import { withParsedCalls } from "../../src/text/tool-data.ts";
import { fc } from "../property.ts";
import { templateSource } from "./golden.ts";
import { marked, slowAnswer, type Texts } from "./slow-answer.ts";

const tokenizerOf = (name: string) => {
  const json = (file: string) => JSON.parse(readFileSync(`test/golden/data/${name}/${file}`, "utf8"));
  return createTokenizer(json("tokenizer.json"), json("tokenizer_config.json"));
};
const tokenizer = tokenizerOf("glm46v-flash-tiny");

const TOOLS = [
  {
    type: "function",
    function: {
      name: "weather",
      parameters: {
        properties: { city: { type: "string" }, days: { type: "integer" }, either: { type: ["string"] } },
      },
    },
  },
  { name: "get", parameters: { properties: { path: { type: "string" } } } },
  { type: "function", function: { name: "now" } },
];
const TEXTS: Texts = { weather: ["city"], get: ["path"] };

/** `⟦<think>⟧` is the token, all else ordinary tokens. */
function idsOf(text: string): number[] {
  return text.split(/(⟦[^⟧]*⟧)/).flatMap((piece) => {
    if (piece.startsWith("⟦")) return [tokenizer.idOf(piece.slice(1, -1)) as number];
    // A mark between its characters: what is spelt is no token.
    return tokenizer.encode([...piece].join("\u0001"), { mark: "\u0001" });
  });
}

interface Cuts {
  readonly stop?: readonly string[];
  /** Tokens of the pushes; more are one a push. */
  readonly sizes?: readonly number[];
  readonly isThinking?: boolean;
  readonly tools?: readonly object[] | null;
}

function parsed(
  ids: readonly number[],
  { stop = [], sizes = [], isThinking = false, tools = TOOLS }: Cuts = {},
) {
  const answer = new AnswerText(tokenizer, { limit: ids.length, stop, endIds: [] });
  let calls = 0;
  const parser = new AnswerParser(tokenizer, {
    tools: tools && textParameters(tools),
    isThinking,
    newCallId: () => `call ${calls++}`,
  });
  const parts: AnswerPart[] = [];
  const pushes = [...sizes];
  for (let at = 0; at < ids.length && !answer.finishReason; ) {
    const tokens: number[] = [];
    let text = "";
    for (const id of ids.slice(at, at + (pushes.shift() ?? 1))) {
      if (answer.finishReason) break;
      tokens.push(id);
      text += answer.push(id);
    }
    at += tokens.length;
    const more = answer.finishReason ? parser.pushLast(tokens, text) : parser.push(tokens, text);
    assert.ok(more.length > 0);
    assert.is(more.map((part) => part.text).join(""), text);
    parts.push(...more);
  }
  const { reasoning, content, boxed, toolCalls } = parser;
  assert.equal(joined(parts), { reasoning, content, calls: toolCalls });
  return { reasoning, content, boxed, calls: toolCalls.map((call) => [call.name, call.arguments]), parts };
}

/** What the parts say together, each name once and first. */
function joined(parts: readonly AnswerPart[]) {
  let [reasoning, content] = ["", ""];
  const calls: { id: string; name: string; arguments: string }[] = [];
  for (const part of parts) {
    if (part.type === "reasoning") reasoning += part.reasoning;
    if (part.type === "text") content += part.content;
    if (part.type !== "toolCall" || !part.toolCall) continue;
    const { index, id, name, arguments: more } = part.toolCall;
    if (name !== undefined) {
      assert.is(index, calls.length);
      calls.push({ id, name, arguments: more });
    } else {
      assert.is(calls.at(-1)?.id, id);
      (calls[index] as (typeof calls)[number]).arguments += more;
    }
  }
  return { reasoning, content, calls };
}

const plain = fc.oneof(
  fc.string({
    unit: fc.constantFrom("a", "é", "日", "😀", " ", "\n", "<", ">", '"', "\\", "1"),
    maxLength: 8,
  }),
  fc.constantFrom(
    "",
    "\n",
    "\n\n",
    "<tool_call>",
    "</think>",
    "<arg_key>a",
    "<|end_of_box|>",
    "[1, 2]",
    "True",
    "{'a': 1}",
    "3.0",
  ),
);
const wrapped = (open: string, inside: Arbitrary<string>, close: string) =>
  inside.map((text: string) => marked(open) + text + marked(close));
const value = fc.oneof(plain, wrapped("<think>", plain, "<tool_response>"));
const pair = fc
  .tuple(fc.constantFrom("city", "days", "either", "path", "x"), fc.constantFrom("", "\n", " "), value)
  .map(([key, gap, text]) => wrappedText("<arg_key>", key) + gap + wrappedText("<arg_value>", text) + gap);
const wrappedText = (open: string, text: string) => marked(open) + text + marked(open.replace("<", "</"));
const call = fc
  .tuple(
    fc.constantFrom("weather", "get", "now", "get_weather"),
    fc.constantFrom("", "\n"),
    fc.array(pair, { maxLength: 3 }),
  )
  .map(([name, gap, pairs]) => wrappedText("<tool_call>", name + gap + pairs.join("")));
const wellFormed = fc
  .array(
    fc.oneof(
      plain,
      wrapped("<think>", plain, "</think>"),
      plain.map((text) => marked("<think>") + text),
      wrapped("<|begin_of_box|>", plain, "<|end_of_box|>"),
      plain.map((text) => marked("<|begin_of_box|>") + text),
      fc.constant(marked("</think>")),
      call,
    ),
    { maxLength: 6 },
  )
  .map((pieces) => pieces.join(""));

test("token by token, and in pushes of any size, as the whole text is read", () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 9 }), { maxLength: 30 });
  fc.assert(
    fc.property(wellFormed, sizes, fc.boolean(), fc.boolean(), (text, sizes, isThinking, hasTools) => {
      const ids = idsOf(text);
      const expected = slowAnswer(text, hasTools ? TEXTS : null, isThinking);
      for (const cuts of [[], sizes, [1000]]) {
        const { parts: _, ...answer } = parsed(ids, {
          sizes: cuts,
          isThinking,
          tools: hasTools ? TOOLS : null,
        });
        if (ids.length > 0) assert.equal(answer, expected, JSON.stringify(text));
      }
    }),
    { numRuns: 1000 },
  );
});

test("tokens in any order are the same in any pushes, whatever stop strings hold back", () => {
  const tokens = ["<think>", "</think>", "<|begin_of_box|>", "<|end_of_box|>", "<tool_call>", "</tool_call>"];
  const inCalls = ["<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>"];
  const mark = fc.constantFrom(...tokens, ...inCalls).map(marked);
  const anything = fc.array(fc.oneof(mark, plain), { maxLength: 25 }).map((pieces) => pieces.join(""));
  const stops = fc.array(fc.constantFrom("<", "</", "<arg_", "\n\n", "a\n", "city", "l>", "日", "k>a"), {
    maxLength: 2,
  });
  const sizes = fc.array(fc.integer({ min: 1, max: 9 }), { maxLength: 30 });
  fc.assert(
    fc.property(anything, stops, sizes, fc.boolean(), (text, stop, sizes, isThinking) => {
      const ids = idsOf(text);
      const { parts: _, ...whole } = parsed(ids, { sizes: [1000], stop, isThinking });
      for (const cuts of [[], sizes]) {
        const { parts, ...answer } = parsed(ids, { sizes: cuts, stop, isThinking });
        assert.equal(answer, whole, JSON.stringify(text));
      }
    }),
    { numRuns: 1000 },
  );
});

const T = (text: string) => text.replace(/<\|?\/?[a-z_]+\|?>/g, (token) => marked(token));
const SAID: readonly (readonly [string, string, Partial<ReturnType<typeof parsed>>, Cuts?])[] = [
  ["plain text is content as it is", "\nab\n", { content: "\nab\n", reasoning: "", boxed: null, calls: [] }],
  ["thinking and its newlines", "\n<think>\nwhy\n</think>\nso\n", { reasoning: "why", content: "so\n" }],
  [
    "thinking that the prompt opened",
    "why</think>so",
    { reasoning: "why", content: "so" },
    { isThinking: true },
  ],
  [
    "a start tag though the prompt opened it",
    "<think>why</think>so",
    { reasoning: "why", content: "so" },
    { isThinking: true },
  ],
  ["unfinished thinking", "<think>why\n", { reasoning: "why\n", content: "" }],
  ["no thinking", "<think></think>\nso", { reasoning: "", content: "so" }],
  [
    "a call ends thinking",
    "<think>why\n<tool_call>now</tool_call>",
    { reasoning: "why", content: "", calls: [["now", "{}"]] },
  ],
  ["boxes", "It is <|begin_of_box|>4<|end_of_box|>.", { content: "It is 4.", boxed: "4" }],
  [
    "a call of 4.5",
    "Look.\n<tool_call>weather\n<arg_key>city</arg_key>\n<arg_value> Paris\n</arg_value>\n<arg_key>days</arg_key>\n<arg_value>2</arg_value>\n</tool_call>",
    { content: "Look.", calls: [["weather", '{"city": " Paris\\n", "days": 2}']] },
  ],
  [
    "calls of 4.7",
    "<tool_call>now</tool_call><tool_call>weather<arg_key>either</arg_key><arg_value>Paris</arg_value></tool_call>",
    {
      content: "",
      calls: [
        ["now", "{}"],
        ["weather", '{"either": "Paris"}'],
      ],
    },
  ],
  [
    "without tools a call is text",
    "<think>a<tool_call>now</tool_call>",
    { reasoning: "a<tool_call>now</tool_call>", calls: [] },
    { tools: null },
  ],
  [
    "a call that is cut off in a text",
    "<tool_call>weather<arg_key>city</arg_key><arg_value>Par",
    { calls: [["weather", '{"city": "Par']] },
  ],
  [
    "a call that is cut off in a number",
    "<tool_call>weather<arg_key>city</arg_key><arg_value>P</arg_value><arg_key>days</arg_key><arg_value>2",
    { calls: [["weather", '{"city": "P"']] },
  ],
  ["a call that is cut off in its name", "<tool_call>wea", { calls: [], content: "" }],
  [
    "a call without a name",
    "<tool_call>\n<arg_key>a</arg_key><arg_value>1</arg_value></tool_call>x",
    { calls: [], content: "x" },
  ],
  [
    "ends that were forgotten",
    "<tool_call>weather<arg_key>city<arg_value>Paris</tool_call><tool_call>now<tool_call>get",
    {
      calls: [
        ["weather", '{"city": "Paris"}'],
        ["now", "{}"],
      ],
    },
  ],
  [
    "text between calls",
    "a\n<tool_call>now</tool_call>\nb\n",
    { content: "a\n\nb\n", calls: [["now", "{}"]] },
  ],
];
for (const [name, text, expected, cuts] of SAID) {
  test(name, () => {
    const answer = parsed(idsOf(T(text)), cuts);
    for (const [key, value] of Object.entries(expected)) {
      assert.equal(answer[key as keyof typeof answer], value, key);
    }
  });
}

test("a name comes once it is whole, texts as they come, other values when they are whole", () => {
  const { parts } = parsed(
    idsOf(
      T(
        "<tool_call>weather<arg_key>city</arg_key><arg_value>ab</arg_value><arg_key>days</arg_key><arg_value>12</arg_value></tool_call>",
      ),
    ),
  );
  const deltas = parts.flatMap((part) => {
    const delta = part.type === "toolCall" ? part.toolCall : null;
    return delta && (delta.name !== undefined || delta.arguments !== "")
      ? [[delta.name, delta.arguments]]
      : [];
  });
  assert.equal(deltas, [
    ["weather", "{"],
    [undefined, '"city": "'],
    [undefined, "a"],
    [undefined, "b"],
    [undefined, '"'],
    [undefined, ', "days": 12'],
    [undefined, "}"],
  ]);
});

test("parts have the kind of the token's place, and one token one part", () => {
  const ids = idsOf(T("<think>a</think>b<|begin_of_box|>c<|end_of_box|>d<tool_call>g</tool_call>e"));
  const { parts } = parsed(ids);
  assert.is(parts.length, ids.length);
  const kinds = parts.map((part) => (part.type === "text" && part.boxed ? "boxed" : part.type));
  assert.equal(kinds, [
    ...["reasoning", "reasoning", "reasoning", "text", "boxed", "boxed", "text", "text"],
    ...["toolCall", "toolCall", "toolCall", "text"],
  ]);
});

test("GLM-4.1V's tags are special and leave no text", () => {
  const special = tokenizerOf("glm4v-tiny");
  const parser = new AnswerParser(special, { tools: null, isThinking: false, newCallId: () => "" });
  for (const token of ["<think>", "a", "</think>", "<answer>", "b", "</answer>"]) {
    parser.push([special.idOf(token) as number], token.length === 1 ? token : "");
  }
  assert.is(parser.reasoning, "a");
  assert.is(parser.content, "b");
});

/** The calls of the last message as the model cards of GLM-4.5 and GLM-4.7 render them. */
const GLM_45 = `{% for m in messages %}<|assistant|>{% for tc in m.tool_calls %}
{%- set tc = tc.function if tc.function else tc %}
{{ '\\n<tool_call>' + tc.name }}
{% for k, v in tc.arguments.items() %}
<arg_key>{{ k }}</arg_key>
<arg_value>{{ v | tojson(ensure_ascii=False) if v is not string else v }}</arg_value>
{% endfor %}
</tool_call>{% endfor %}{% endfor %}`;
const GLM_47 = `{% for m in messages %}<|assistant|>{% for tc in m.tool_calls %}
{%- set tc = tc.function if tc.function else tc -%}
{{- '<tool_call>' + tc.name -}}
{% for k, v in tc.arguments.items() %}<arg_key>{{ k }}</arg_key><arg_value>{{ v | tojson(ensure_ascii=False) if v is not string else v }}</arg_value>{% endfor %}</tool_call>{% endfor %}{% endfor %}`;

for (const [name, source] of [
  ["GLM-4.5", GLM_45],
  ["GLM-4.7", GLM_47],
  ["tools.jinja", templateSource("tools.jinja")],
] as const) {
  test(`${name}: calls that a template writes are read back, with nothing lost`, () => {
    const template = new ChatTemplate(source);
    const json = fc.oneof(
      fc.constantFrom(
        "1",
        "3.0",
        "12345678901234567890",
        "true",
        "null",
        '[1, "a", {"b": 2.5}]',
        "{}",
        "-1e-07",
        '"日\\n"',
      ),
    );
    const word = fc.string({
      unit: fc.constantFrom("a", "é", "日", "\n", " ", '"', "\\", "<", "1"),
      maxLength: 8,
    });
    const args = fc.record({ city: word, days: json }, { requiredKeys: [] });
    const calls = fc.array(fc.tuple(fc.constantFrom("weather", "now"), args), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(calls, (calls) => {
        const texts = calls.map(([name, { city, days }]) => {
          const pairs = [
            ...(city === undefined || name === "now" ? [] : [`"city": ${JSON.stringify(city)}`]),
            ...(days === undefined ? [] : [`"days": ${days}`]),
          ];
          return [name, `{${pairs.join(", ")}}`] as const;
        });
        const [message] = withParsedCalls([
          {
            role: "assistant",
            content: "",
            tool_calls: texts.map(([name, text]) => ({ function: { name, arguments: text } })),
          },
        ]);
        const rendered = template.render([message as Record<string, unknown>]);
        const answer = rendered.slice(rendered.indexOf("<|assistant|>") + "<|assistant|>".length);
        const found = parsed(tokenizer.encode(answer)).calls;
        assert.equal(
          found.map(([name, text]) => [name, parseExactJson(text as string)]),
          texts.map(([name, text]) => [name, parseExactJson(text)]),
        );
        // To the letter, as Python writes it.
        assert.equal(found, texts);
      }),
      { numRuns: 300 },
    );
  });
}

test("a long answer takes time in proportion to its length", () => {
  const timeOf = (length: number) => {
    const ids = idsOf(T(`<tool_call>get<arg_key>path</arg_key><arg_value>`)).concat(
      Array.from({ length }, () => idsOf("a")[0] as number),
    );
    const began = process.cpuUsage().user;
    parsed(ids);
    return process.cpuUsage().user - began;
  };
  timeOf(2000);
  const [short, long] = [timeOf(10_000), timeOf(80_000)];
  assert.ok(long < short * 30 + 200_000, `${short} and ${long} microseconds`);
});

test.run();
