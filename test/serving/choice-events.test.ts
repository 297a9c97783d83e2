/** Events of one answer: its pieces in parts, with a model and without. */
import { cpSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type GenerationEvent, loadModel, type Message } from "../../src/index.ts";
import { AnswerText } from "../../src/serving/answer-text.ts";
import { choiceEvents } from "../../src/serving/choice-events.ts";
import type { GeneratedPiece, RequestResult } from "../../src/serving/generation-result.ts";
import { AnswerParser } from "../../src/text/answer/answer-parser.ts";
import { createTokenizer } from "../../src/text/tokenizer.ts";

const MODEL = "test/golden/data/glm_ocr-tiny";
const json = (file: string) => JSON.parse(readFileSync(join(MODEL, file), "utf8"));
const tokenizer = createTokenizer(json("tokenizer.json"), json("tokenizer_config.json"));
const usage = { promptTokens: 1, visionTokens: 0, completionTokens: 2 } as RequestResult["usage"];

async function* saying(text: string, stop: readonly string[] = []) {
  const ids = tokenizer.encode(text);
  const answer = new AnswerText(tokenizer, { limit: ids.length, stop, endIds: [] });
  for (const [index, tokenId] of ids.entries()) {
    const piece: GeneratedPiece = {
      text: answer.push(tokenId),
      tokenId,
      index,
      finishReason: answer.finishReason,
    };
    yield piece;
    if (piece.finishReason) break;
  }
  return { text: answer.text, usage } as RequestResult;
}

async function events(text: string, stop?: readonly string[]) {
  const parser = new AnswerParser(tokenizer, { tools: new Map(), isThinking: false, newCallId: () => "c" });
  const stream = choiceEvents(saying(text, stop), parser, 2);
  const found: GenerationEvent[] = [];
  for (;;) {
    const next = await stream.next();
    if (next.done) return { found, choice: next.value };
    found.push(next.value);
  }
}

test("an answer with thinking, content, a box and a call", async () => {
  const text =
    "<think>a</think>\nb <|begin_of_box|>4<|end_of_box|>\n<tool_call>f<arg_key>x</arg_key><arg_value>1</arg_value></tool_call>";
  const { found, choice } = await events(text);
  assert.equal([choice.reasoning, choice.content, choice.boxed], ["a", "b 4", "4"]);
  assert.equal(choice.toolCalls, [{ id: "c", name: "f", arguments: '{"x": 1}' }]);
  assert.is(found.map((event) => event.text).join(""), choice.text);
  assert.equal(
    found.map(({ index, choice }) => [index, choice]),
    tokenizer.encode(text).map((_, index) => [index, 2]),
  );
  assert.equal(found.filter((event) => event.usage).length, 1);
  assert.is(found.at(-1)?.usage, usage);
  assert.is(found.at(-1)?.finishReason, "length");
});

test("what a stop string held back of several kinds is told by kinds, with one end", async () => {
  // "b</thin" may be the stop string until the next token.
  const { found, choice } = await events("<think>ab</think>c", ["b</think>d"]);
  assert.equal([choice.reasoning, choice.content], ["ab", "c"]);
  const last = found.filter(({ index }) => index === found.at(-1)?.index);
  assert.equal(
    last.map(({ type, text, finishReason }) => [type, text, finishReason]),
    [
      ["reasoning", "b</think>", null],
      ["text", "c", "length"],
    ],
  );
});

test("the prompt says whether thinking is open and which tools there are", async () => {
  const folder = mkdtempSync(join(tmpdir(), "glimt-events-"));
  cpSync(MODEL, folder, { recursive: true, filter: (path) => !path.endsWith("cases") });
  cpSync("test/golden/templates/tools.jinja", join(folder, "chat_template.jinja"));
  const model = await loadModel(folder, { backend: "wasm", threads: 1 });
  rmSync(folder, { recursive: true });
  const open: Message[] = [
    { role: "user", content: "Why?" },
    { role: "assistant", content: "<think>Because" },
  ];
  const thinking = await model.complete(open, { continueFinalMessage: true, maxTokens: 5 });
  assert.is(thinking.reasoning, thinking.text);
  assert.is(thinking.content, "");

  // All tokens are as probable: some seed calls.
  const call = tokenizer.idOf("<tool_call>") as number;
  const tools = [{ type: "function", function: { name: "f" } }];
  const messages: Message[] = [{ role: "user", content: "Why?" }];
  for (let seed = 0; ; seed++) {
    const options = { temperature: 1e6, maxTokens: 200, seed };
    const inputs = await model.process(messages, { tools });
    const kinds = new Map<string, GenerationEvent["type"] | undefined>();
    for (const [name, prompt, more] of [
      ["messages", messages, { tools }],
      ["inputs", inputs, {}],
      ["no tools", { ...inputs, tools: null }, {}],
    ] as const) {
      const run = model.generate(prompt, { ...options, ...more });
      for await (const { tokenId, type } of run) if (tokenId === call) kinds.set(name, type);
    }
    if (kinds.size === 0) continue;
    assert.equal([kinds.get("messages"), kinds.get("inputs")], ["toolCall", "toolCall"]);
    assert.is.not(kinds.get("no tools"), "toolCall");
    break;
  }
  await model.dispose();
});

test.run();
