/** Requests that are small to send and large to answer are refused before they hold the server. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Model } from "../../src/index.ts";
import type { LogEntry } from "../../src/server/log.ts";
import { createServer, type GlimtServer } from "../../src/server/server.ts";
import { loadDemo, post } from "./demo.ts";

let model: Model;
let server: GlimtServer;
const logged: LogEntry[] = [];
test.before(async () => {
  model = await loadDemo();
  server = createServer(model, { log: (entry) => logged.push(entry) });
});
test.after(() => model.dispose());

const QUESTION = { role: "user", content: "Hi" };
const refused = async (path: string, body: object): Promise<string> => {
  const response = await server.fetch(post(path, body));
  const text = await response.text();
  assert.is(response.status, 400, text.slice(0, 500));
  return text;
};

test("a field of any length is named in few letters, in the answer and in the log", async () => {
  const long = "k".repeat(100_000);
  const bodies: readonly [path: string, body: object][] = [
    ["/v1/chat/completions", { messages: [QUESTION], [long]: 1 }],
    ["/v1/messages", { model: "glimt", max_tokens: 1, messages: [QUESTION], [long]: 1 }],
    ["/api/chat", { model: "glimt", messages: [QUESTION], options: { [long]: 1 } }],
    ["/v1/chat/completions", { messages: [QUESTION], logit_bias: { [long]: 1 } }],
    ["/v1/chat/completions", { messages: [QUESTION], chat_template_kwargs: { [long]: 1 } }],
    ["/v1/chat/completions", { messages: [QUESTION], structured_outputs: { regex: `(${long}` } }],
    ["/v1/chat/completions", { messages: [QUESTION], guided_json: { [long]: { type: long } } }],
  ];
  for (const [path, body] of bodies) {
    logged.length = 0;
    const response = await server.fetch(post(path, { ...body, ...(path[1] === "v" && { max_tokens: 1 }) }));
    const text = await response.text();
    assert.ok(text.length < 5000, `${path} answers ${text.length} letters`);
    assert.ok(JSON.stringify(logged).length < 5000, `${path} logs more than 5000 letters`);
  }
});

test("a body of very many messages or parts is refused before they are read", async () => {
  const many = (item: object) => new Array(40_000).fill(item);
  assert.match(await refused("/v1/chat/completions", { messages: many(QUESTION) }), "more than 32768");
  const content = many({ type: "text", text: "a" });
  assert.match(await refused("/v1/chat/completions", { messages: [{ role: "user", content }] }), "more than");
});

test("lists of very many texts or tokens are refused", async () => {
  const texts = new Array(20_000).fill("a");
  assert.match(
    await refused("/v1/chat/completions", { messages: [QUESTION], bad_words: texts }),
    "bad_words",
  );
  assert.match(await refused("/v1/chat/completions", { messages: [QUESTION], stop: texts }), "stop");
  assert.match(await refused("/detokenize", { tokens: new Array(1_100_000).fill(1) }), "tokens");
});

test("texts of tokens are told of a text of many, and not of any number", async () => {
  const response = await server.fetch(
    post("/tokenize", { prompt: "ab ".repeat(20_000), return_token_strs: true }),
  );
  const { count, token_strs } = (await response.json()) as { count: number; token_strs: string[] };
  assert.is(token_strs.length, count);
  assert.is(token_strs.join(""), "ab ".repeat(20_000));
  assert.match(await refused("/tokenize", { prompt: "a".repeat(1_100_000) }), "prompt");
});

test.run();
