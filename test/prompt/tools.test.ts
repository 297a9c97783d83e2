/** Tools and their calls reach the chat template with nothing lost, however they are given. */
import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { readMessages, readToolsFile } from "../../src/cli/chat-files.ts";
import { type GlimtError, type Message, openProcessor, type ProcessOptions } from "../../src/index.ts";
import { goldenDataDir } from "../golden/load.ts";

const folder = mkdtempSync(join(tmpdir(), "glimt-tools-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

const plain = join(goldenDataDir, "glm4v-tiny");
const withTools = join(folder, "checkpoint");
cpSync(plain, withTools, { recursive: true, filter: (path) => !path.endsWith("cases") });
cpSync("test/golden/templates/tools.jinja", join(withTools, "chat_template.jinja"));

const ARGUMENTS = '{"t": 3.0, "id": 12345678901234567890, "b": 1, "10": [2, -0.0, 1e2], "9": {"k": null}}';
const TOOLS =
  '[{"type": "function", "function": {"name": "f", "parameters": {"properties": ' +
  '{"b": {"default": 3.0}, "10": {"enum": [12345678901234567890]}, "9": {}}}}}]';

/** What transformers 5.18 makes of the template with these tools and arguments, and of a call without any. */
const RIGHT =
  '[gMASK]<sop><|system|>\n# Tools\n{"type": "function", "function": {"name": "f", "parameters": {"properties": ' +
  '{"b": {"default": 3.0}, "10": {"enum": [12345678901234567890]}, "9": {}}}}}\n<|user|>\nq<|assistant|>\n' +
  "<tool_call>f<arg_key>t</arg_key>\n<arg_value>3.0</arg_value><arg_key>id</arg_key>\n" +
  "<arg_value>12345678901234567890</arg_value><arg_key>b</arg_key>\n<arg_value>1</arg_value><arg_key>10</arg_key>\n" +
  '<arg_value>[2, -0.0, 100.0]</arg_value><arg_key>9</arg_key>\n<arg_value>{"k": null}</arg_value></tool_call>\n' +
  "<tool_call>g</tool_call>";

function chat(first: unknown, second: unknown): Message[] {
  return [
    { role: "user", content: "q" },
    {
      role: "assistant",
      content: null,
      tool_calls: [
        { id: "1", type: "function", function: { name: "f", arguments: first as string } },
        { id: "2", type: "function", function: { name: "g", arguments: second as string } },
      ],
    },
  ];
}

async function promptOf(messages: Message[], options: ProcessOptions = {}): Promise<string> {
  const processor = await openProcessor(withTools);
  return (await processor.process(messages, options)).promptText.replace(/<\|assistant\|>\n*$/, "");
}

const ORDERED = new Map<string, unknown>([
  ["b", 1],
  ["10", [2]],
  ["9", 1.5],
]);

for (const none of ["", " ", "null", "{}", {}]) {
  test(`arguments as JSON text, and ${JSON.stringify(none)} as none`, async () => {
    assert.is(await promptOf(chat(ARGUMENTS, none), { tools: TOOLS }), RIGHT);
  });
}

test("with special tokens of texts kept plain", async () => {
  const options: ProcessOptions = { tools: TOOLS, specialTokensInText: "text" };
  assert.is(await promptOf(chat(ARGUMENTS, "null"), options), RIGHT);
});

test("a Map keeps the order of its keys", async () => {
  const prompt = await promptOf(chat(ORDERED, "null"));
  const shown = [...prompt.matchAll(/<arg_key>(.*?)<\/arg_key>\n<arg_value>(.*?)<\/arg_value>/g)];
  assert.equal(
    shown.map(([, key, value]) => [key, value]),
    [
      ["b", "1"],
      ["10", "[2]"],
      ["9", "1.5"],
    ],
  );
});

test("files of the command line lose nothing either", async () => {
  const messages = join(folder, "messages.json");
  const tools = join(folder, "tools.json");
  writeFileSync(
    messages,
    `[{"role": "user", "content": "q"}, {"role": "assistant", "tool_calls": [
      {"type": "function", "function": {"name": "f", "arguments": ${ARGUMENTS}}},
      {"type": "function", "function": {"name": "g", "arguments": {}}}]}]`,
  );
  writeFileSync(tools, TOOLS);
  assert.is(await promptOf(await readMessages(messages), { tools: await readToolsFile(tools) }), RIGHT);
  writeFileSync(tools, '{"name": "f"}');
  for (const [read, file, expected] of [
    [readToolsFile, tools, "must hold an array of tools"],
    [readToolsFile, join(folder, "absent.json"), "The tools file"],
    [readMessages, tools, "must hold an array of messages"],
  ] as const) {
    const error = await failure(read(file));
    assert.is(error.code, "INPUT_INVALID");
    assert.match(error.message, expected);
  }
});

for (const [given, expected] of [
  ["{", "Expected a key in double quotes at line 1, column 2"],
  ["[1]", "messages[1].tool_calls[0].function.arguments: expected a JSON object"],
  ["what", "Expected a value at line 1, column 1"],
] as const) {
  test(`arguments that are no object: ${given}`, async () => {
    const error = await failure(promptOf(chat(given, "{}")));
    assert.is(error.code, "INPUT_INVALID");
    assert.ok(error.message.includes("messages[1].tool_calls[0].function.arguments"), error.message);
    assert.ok(error.message.includes(expected), error.message);
  });
}

for (const given of [3, 3n, true, [], [1]]) {
  test(`arguments that are no object and no text: ${typeof given} ${given}`, async () => {
    const error = await failure(promptOf(chat(given as never, "{}")));
    assert.is(error.code, "INPUT_INVALID");
    assert.match(
      error.message,
      /^messages\[1\]\.tool_calls\[0\]\.function\.arguments: expected a JSON object, found/,
    );
  });
}

test("tools that are none", async () => {
  for (const tools of ["{}", "[1]", "nope", [null], "null"] as unknown as string[]) {
    const error = await failure(promptOf(chat("{}", "{}"), { tools }));
    assert.is(error.code, "OPTION_INVALID", JSON.stringify(tools));
    assert.match(error.message, /^tools/);
  }
});

test("tools for a template that has no place for them are refused by name", async () => {
  const processor = await openProcessor(plain);
  const messages: Message[] = [{ role: "user", content: "q" }];
  for (const tools of [TOOLS, JSON.parse(TOOLS)]) {
    const error = await failure(processor.process(messages, { tools }));
    assert.is(error.code, "OPTION_INVALID");
    assert.match(error.message, "tools: this checkpoint's chat template has no place for them");
  }
  await processor.process(messages, { tools: [] });
});

async function failure(run: Promise<unknown>): Promise<GlimtError> {
  const error = await run.then(
    () => undefined,
    (reason) => reason as GlimtError,
  );
  assert.ok(error, "No error was thrown.");
  return error as GlimtError;
}

test.run();
