/** Calls of tools: well formed in the template's own format, with arguments of the tool's schema. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { FIRST_MARK } from "../../src/grammar/automaton.ts";
import { Matcher } from "../../src/grammar/matcher.ts";
import { compileStructured, type StructuredText } from "../../src/grammar/structured.ts";
import { CALL_TAGS, OTHER_MARK, type Tool, type ToolCallPlan } from "../../src/grammar/tool-calls.ts";
import { toolCallFormat } from "../../src/prompt/tool-call-format.ts";

const NEWER = { afterName: "", afterBareName: "", afterKey: "", afterValue: "", atEnd: "", betweenCalls: "" };
const OLDER = {
  afterName: "\n",
  afterBareName: "\n",
  afterKey: "\n",
  afterValue: "\n",
  atEnd: "\n",
  betweenCalls: "\n",
};

const TOOLS: readonly Tool[] = [
  {
    name: "get_weather",
    parameters: JSON.stringify({
      type: "object",
      properties: {
        city: { type: "string" },
        days: { type: "integer", minimum: 1, maximum: 7 },
        unit: { type: "string", enum: ["C", "F"] },
      },
      required: ["city"],
    }),
  },
  { name: "now", parameters: null },
];

/** Tags, and what stands for other tokens, become the tokens that they are. */
function acceptor(plan: ToolCallPlan) {
  return acceptorOf({ kind: "tools", plan });
}

function acceptorOf(asked: StructuredText) {
  const matcher = new Matcher(compileStructured(asked));
  return (text: string) => {
    const parts = text.split(/(<\/?(?:tool_call|arg_key|arg_value)>|<box>)/);
    const bytes = parts.flatMap((part) => {
      const index = part === "<box>" ? OTHER_MARK : (CALL_TAGS as readonly string[]).indexOf(part);
      return index < 0 ? [...new TextEncoder().encode(part)] : [FIRST_MARK + index];
    });
    return matcher.afterBytes(matcher.start, Uint8Array.from(bytes))?.isComplete === true;
  };
}

const CITY = "<arg_key>city</arg_key><arg_value>Köln < Bonn</arg_value>";

test("one call, in GLM-4.7's format", () => {
  const isTaken = acceptor({ format: NEWER, tools: TOOLS, mode: "call" });
  assert.ok(isTaken(`<tool_call>get_weather${CITY}</tool_call>`));
  assert.ok(
    isTaken(`\n<tool_call>get_weather${CITY}<arg_key>days</arg_key><arg_value>3</arg_value></tool_call>`),
  );
  assert.ok(
    isTaken(`<tool_call>get_weather${CITY}<arg_key>unit</arg_key><arg_value>F</arg_value></tool_call>`),
  );
  assert.ok(isTaken("<tool_call>now</tool_call>"));
  assert.not(isTaken("<tool_call>get_weather</tool_call>"), "city is required");
  assert.not(
    isTaken(`<tool_call>get_weather${CITY}<arg_key>days</arg_key><arg_value>8</arg_value></tool_call>`),
  );
  assert.not(
    isTaken(`<tool_call>get_weather${CITY}<arg_key>unit</arg_key><arg_value>"F"</arg_value></tool_call>`),
  );
  assert.not(
    isTaken(`<tool_call>get_weather${CITY}<arg_key>other</arg_key><arg_value>1</arg_value></tool_call>`),
  );
  assert.not(isTaken("<tool_call>get</tool_call>"));
  assert.not(isTaken("<tool_call>now</tool_call><tool_call>now</tool_call>"));
  assert.not(isTaken("Hello."));
});

test("several calls, in GLM-4.5's format", () => {
  const isTaken = acceptor({ format: OLDER, tools: TOOLS, mode: "calls" });
  const city = "<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>Köln</arg_value>\n</tool_call>";
  assert.ok(isTaken(city));
  assert.ok(isTaken(`\n${city}\n<tool_call>now\n</tool_call>`));
  assert.not(isTaken(`<tool_call>get_weather${CITY}</tool_call>`));
  assert.not(isTaken(""));
});

test("text, and calls behind it", () => {
  const isTaken = acceptor({ format: NEWER, tools: TOOLS, mode: "free" });
  assert.ok(isTaken(""));
  assert.ok(isTaken("It is <box>5<box>."));
  assert.ok(isTaken("I look.\n<tool_call>now</tool_call>"));
  assert.not(isTaken("I look. <tool_call>later</tool_call>"));
  assert.not(isTaken("</arg_key>"));
  assert.not(isTaken("<tool_call>now</tool_call>, done"));
});

test("text alone", () => {
  const isTaken = acceptor({ format: NEWER, tools: [], mode: "text" });
  assert.ok(isTaken("Hello <box>."));
  assert.not(isTaken("<tool_call>now</tool_call>"));
});

test("calls, or JSON of a schema, whose definitions and those of the tools have the same names", () => {
  const source = (kind: string) =>
    JSON.stringify({
      type: "object",
      properties: { a: { $ref: "#/$defs/a" } },
      required: ["a"],
      $defs: { a: { type: kind } },
    });
  const tools = [{ name: "f", parameters: source("integer") }];
  const plan = { format: NEWER, tools };
  const isTaken = acceptorOf({
    kind: "callsOr",
    plan,
    other: { kind: "jsonSchema", source: source("boolean") },
  });
  const call = (value: string) =>
    `<tool_call>f<arg_key>a</arg_key><arg_value>${value}</arg_value></tool_call>`;
  assert.ok(isTaken('{"a": true}'));
  assert.ok(isTaken(call("3")));
  assert.ok(isTaken(`\n${call("3")}${call("4")}`));
  assert.not(isTaken('{"a": 3}'));
  assert.not(isTaken(call("true")));
  assert.not(isTaken(`{"a": true}${call("3")}`));
  assert.not(isTaken("Hello."));
});

test("the format is what the template writes", () => {
  const write =
    (between: string) =>
    (messages: readonly { tool_calls?: readonly { function: { name: string; arguments: object } }[] }[]) =>
      `[gMASK]<sop>${messages
        .flatMap(({ tool_calls = [] }) => tool_calls)
        .map(({ function: { name, arguments: given } }) => {
          const pairs = Object.entries(given).map(
            ([key, value]) => `<arg_key>${key}</arg_key>${between}<arg_value>${value}</arg_value>${between}`,
          );
          return `<tool_call>${name}${between}${pairs.join("")}</tool_call>`;
        })
        .join(between)}`;
  assert.equal(toolCallFormat(write("") as never), NEWER);
  assert.equal(toolCallFormat(write("\n") as never), OLDER);
  assert.throws(() => toolCallFormat(() => "no calls"), /writes no tool calls/);
});

const WRONG: readonly [parameters: object, expected: RegExp][] = [
  [
    { type: "object", properties: { a: { type: "string", contentSchema: {} } } },
    /^tools: f\.parameters\.properties\.a\.contentSchema/,
  ],
  [{ type: "array" }, /the arguments of a tool are an "object"/],
  [{ type: "object", oneOf: [] }, /oneOf: it is not supported for the arguments of a tool/],
];

for (const [parameters, expected] of WRONG) {
  test(`parameters ${JSON.stringify(parameters)} are refused`, () => {
    const tools = [{ name: "f", parameters: JSON.stringify(parameters) }];
    assert.throws(
      () => compileStructured({ kind: "tools", plan: { format: NEWER, tools, mode: "call" } }),
      expected,
    );
  });
}

test.run();
