/** The server as one function: what it answers, whom, and what it refuses. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Model } from "../../src/index.ts";
import type { LogEntry } from "../../src/server/log.ts";
import { createServer } from "../../src/server/server.ts";
import { loadDemo, pictureUrl, post, readingOf } from "./demo.ts";

let model: Model;
test.before(async () => {
  model = await loadDemo();
});
test.after(() => model.dispose());

const get = (path: string, headers: Record<string, string> = {}) =>
  new Request(`http://localhost${path}`, { headers });
const chat = (fields: object = {}) =>
  post("/v1/chat/completions", { messages: readingOf(pictureUrl()), ...fields });

test("a picture is read, and the request is told of without what it says", async () => {
  const entries: LogEntry[] = [];
  const server = createServer(model, { name: ["demo", "glm"], log: (entry) => entries.push(entry) });
  const request = chat({ model: "glm" });
  request.headers.set("x-request-id", "mine-1");
  const response = await server.fetch(request);
  assert.is(response.headers.get("x-request-id"), "mine-1");
  const { choices, usage, ...others } = (await response.json()) as Record<string, never[]>;
  assert.equal(choices, [
    {
      index: 0,
      message: { role: "assistant", content: "Hello world", refusal: null },
      logprobs: null,
      finish_reason: "stop",
    },
  ]);
  assert.is(others.model as unknown, "glm");
  const { requestId, status, finishReasons, completionTokens } = entries[0] as LogEntry;
  assert.equal(
    { requestId, status, finishReasons, completionTokens, count: entries.length },
    { requestId: "mine-1", status: 200, finishReasons: ["stop"], completionTokens: 12, count: 1 },
  );
  assert.not.match(JSON.stringify(entries), /Hello|Text Recognition|base64/);
});

test("keys are asked for everywhere but at /health", async () => {
  const server = createServer(model, { apiKeys: ["one", "two"] });
  const statusOf = async (request: Request) => (await server.fetch(request)).status;
  assert.is(await statusOf(get("/health")), 200);
  assert.is(await statusOf(get("/v1/models")), 401);
  assert.is(await statusOf(get("/nowhere")), 401);
  assert.is(await statusOf(get("/v1/models", { authorization: "Bearer three" })), 401);
  assert.is(await statusOf(get("/v1/models", { authorization: "Bearer two" })), 200);
  assert.is(await statusOf(get("/v1/models", { "x-api-key": "one" })), 200);
});

const REFUSED: readonly [name: string, body: unknown, status: number, param: string | null, words: RegExp][] =
  [
    ["no JSON", "{", 400, null, /not JSON/],
    ["nothing", "", 400, null, /empty/],
    ["a list", [], 400, null, /JSON object/],
    ["depth", `{"a":${"[".repeat(200)}${"]".repeat(200)}}`, 400, null, /deeper than 100/],
    ["no messages", { model: "demo" }, 400, "messages", /messages is missing/],
    ["an unknown model", { model: "gpt-4", messages: [] }, 404, "model", /not served here/],
    ["an unknown field", { messages: [], tempperature: 1 }, 400, "tempperature", /no field/],
    ["a field of another type", { messages: [], temperature: "1" }, 400, "temperature", /expected a number/],
    [
      "a range",
      { messages: [{ role: "user", content: "a" }], temperature: -1 },
      400,
      "temperature",
      /temperature/,
    ],
    ["functions", { messages: [], functions: [] }, 400, "functions", /Use tools/],
  ];
for (const [name, body, status, param, words] of REFUSED) {
  test(`refused: ${name}`, async () => {
    const server = createServer(model, { name: "demo" });
    const response = await server.fetch(post("/v1/chat/completions", body));
    const { error } = (await response.json()) as { error: Record<string, string> };
    assert.is(response.status, status);
    assert.is(error.param, param as never);
    assert.is(error.type, "invalid_request_error");
    assert.match(error.message as string, words);
  });
}

test("a body that is too large is refused while it comes", async () => {
  const server = createServer(model, { limits: { bodyBytes: 1000 } });
  let sent = 0;
  const body = new ReadableStream<Uint8Array>({
    pull(controller) {
      sent += 100;
      controller.enqueue(new Uint8Array(100).fill(32));
    },
  });
  const request = new Request("http://localhost/v1/chat/completions", {
    method: "POST",
    body,
    duplex: "half",
  } as RequestInit);
  assert.is((await server.fetch(request)).status, 413);
  assert.ok(sent < 2000, `${sent} bytes were asked for`);
});

test("a line that is full is refused with the time to try again", async () => {
  const server = createServer(model, { limits: { concurrency: 1, queue: 1 } });
  const all = await Promise.all([1, 2, 3].map(() => server.fetch(chat({ max_tokens: 2 }))));
  assert.equal(
    all.map(({ status }) => status),
    [200, 200, 429],
  );
  assert.is(all[2]?.headers.get("retry-after"), "2");
});

test("a server that ends lets what runs finish, and refuses what comes", async () => {
  const server = createServer(model);
  const running = server.fetch(chat());
  const closed = server.close();
  assert.is((await server.fetch(get("/health"))).status, 503);
  assert.is((await running).status, 200);
  await closed;
});

test("a stream that is left ends its answer", async () => {
  const entries: LogEntry[] = [];
  const server = createServer(model, { log: (entry) => entries.push(entry) });
  const response = await server.fetch(chat({ stream: true, ignore_eos: true, max_tokens: 3000 }));
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  await reader.read();
  assert.is(model.stats().running, 1);
  await reader.cancel();
  assert.is(model.stats().running, 0);
  assert.is(entries.at(-1)?.status, 499);
});

test("a page asks only where its origin is allowed, or with a key", async () => {
  const statusOf = async (options: object, headers: Record<string, string>) =>
    (await createServer(model, options).fetch(get("/v1/models", headers))).status;
  const origin = "https://page.example";
  assert.is(await statusOf({}, { origin }), 403);
  assert.is(await statusOf({ cors: ["https://other.example"] }, { origin }), 403);
  assert.is(await statusOf({ apiKeys: ["one"] }, { origin, authorization: "Bearer one" }), 200);
  const server = createServer(model, { cors: [origin] });
  const response = await server.fetch(get("/v1/models", { origin }));
  assert.equal([response.status, response.headers.get("access-control-allow-origin")], [200, origin]);
  const headers = { origin, "access-control-request-method": "POST", "access-control-request-headers": "a" };
  const before = await server.fetch(
    new Request("http://localhost/v1/chat/completions", { method: "OPTIONS", headers }),
  );
  assert.equal([before.status, before.headers.get("access-control-allow-headers")], [204, "a"]);
});

test("a stream that nobody reads ends when its time is up", async () => {
  const entries: LogEntry[] = [];
  const limits = { requestTimeout: 1000 };
  const server = createServer(model, { limits, log: (entry) => entries.push(entry) });
  const response = await server.fetch(chat({ stream: true, ignore_eos: true, max_tokens: 4000 }));
  await server.close();
  assert.equal([entries.at(-1)?.event, entries.at(-1)?.status], ["request", 504]);
  // Behind the step that runs.
  while (model.stats().running > 0) await new Promise((resolve) => setTimeout(resolve, 1));
  const text = await response.text();
  assert.match(text, /"type":"timeout_error"/);
});

test("options are checked when the server is made", () => {
  const wrong = [
    { limits: { queue: -1 } },
    { name: [] },
    { apiKeys: "key" },
    { sources: "all" },
    { logs: 1 },
  ];
  for (const options of wrong) {
    assert.throws(
      () => createServer(model, options as never),
      ({ code }: { code: string }) => code === "OPTION_INVALID",
    );
  }
});

test.run();
