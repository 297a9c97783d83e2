/** What a server refuses, as OpenAI's own client tells it; and clients that go away. */
import { createServer as createHttpServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import OpenAI from "openai";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Model } from "../../src/index.ts";
import { listen } from "../../src/server/listen.node.ts";
import { createServer } from "../../src/server/server.ts";
import { pictureUrl, readingOf } from "../server/demo.ts";
import { KEY, type Served, serveDemo } from "./served.ts";

let model: Model;
let served: Served;
/** Of this machine: what a server must not be made to ask. */
let inner: Server;
let asked = 0;
test.before(async () => {
  served = await serveDemo({
    name: "demo",
    apiKeys: [KEY],
    limits: { bodyBytes: 200_000, concurrency: 1, queue: 1 },
  });
  model = served.model;
  inner = createHttpServer((_, response) => {
    asked++;
    response.writeHead(302, { location: "/again" }).end();
  });
  await new Promise<void>((resolve) => inner.listen(0, "0.0.0.0", resolve));
});
test.after(async () => {
  await served.close();
  inner.closeAllConnections();
  await new Promise((resolve) => inner.close(resolve));
});

const clientWith = (apiKey: string) => new OpenAI({ baseURL: `${served.url}/v1`, apiKey, maxRetries: 0 });
const READ = { model: "demo", messages: readingOf(pictureUrl()) };

async function failure(task: Promise<unknown>): Promise<InstanceType<typeof OpenAI.APIError>> {
  try {
    await task;
  } catch (error) {
    assert.instance(error, OpenAI.APIError, String(error));
    return error as InstanceType<typeof OpenAI.APIError>;
  }
  throw new Error("it was answered");
}

test("errors are of the client's classes", async () => {
  const { completions } = clientWith(KEY).chat;
  const create = (fields: object) => failure(completions.create({ ...READ, ...fields } as typeof READ));

  const wrong = await create({ temperature: 9, top_k: "many" });
  assert.instance(wrong, OpenAI.BadRequestError);
  assert.equal([wrong.status, wrong.type, wrong.param], [400, "invalid_request_error", "top_k"]);
  assert.match(wrong.headers?.get("x-request-id") ?? "", /^[\w-]{36}$/);

  const long = await create({ messages: [{ role: "user", content: "a".repeat(5000) }] });
  assert.instance(long, OpenAI.BadRequestError);
  assert.is(long.code, "context_length_exceeded");

  const unknown = await create({ model: "gpt-5" });
  assert.instance(unknown, OpenAI.NotFoundError);
  assert.is(unknown.code, "model_not_found");

  const large = await create({ user: "x".repeat(5_000_000) });
  assert.is(large.status, 413);

  const stranger = await failure(clientWith("another").chat.completions.create(READ));
  assert.instance(stranger, OpenAI.AuthenticationError);
});

test("a line that is full is 429, with the time to try again", async () => {
  const { completions } = clientWith(KEY).chat;
  const [first, second, third] = await Promise.allSettled([
    completions.create(READ),
    completions.create(READ),
    completions.create(READ),
  ]);
  const all = [first, second, third];
  assert.is(all.filter(({ status }) => status === "fulfilled").length, 2);
  const refused = all.find((one) => one.status === "rejected") as PromiseRejectedResult;
  assert.instance(refused.reason, OpenAI.RateLimitError);
  assert.match(refused.reason.headers.get("retry-after"), /^\d+$/);
});

const LOOPBACK = [
  "127.0.0.1",
  "127.1",
  "2130706433",
  "0x7f000001",
  "0177.0.0.1",
  "localhost",
  "LOCALHOST.",
  "sub.localhost",
  "0.0.0.0",
  "0",
  "[::1]",
  "[::]",
  "[::ffff:127.0.0.1]",
  "[::ffff:7f00:1]",
  "[0:0:0:0:0:0:0:1]",
  "user:secret@127.0.0.1",
  "10.0.0.1",
  "169.254.169.254",
  "192.168.0.1",
];
test("inner addresses in every spelling, and local paths, are refused without being asked", async () => {
  const { port } = inner.address() as AddressInfo;
  const { completions } = clientWith(KEY).chat;
  const urls = [
    ...LOOPBACK.map((host) => `http://${host}:${port}/picture.png`),
    "/etc/passwd",
    "examples/demo/pictures/hello.png",
    "./examples/demo/pictures/hello.png",
    `file://${process.cwd()}/examples/demo/pictures/hello.png`,
    "FILE:///etc/passwd",
    "\\\\server\\share\\picture.png",
    "blob:nodedata:1234",
  ];
  for (const url of urls) {
    const error = await failure(completions.create({ model: "demo", messages: readingOf(url) }));
    assert.is(error.status, 400, url);
    assert.not.match(error.message, /ENOENT|ECONNREFUSED|secret|root:/, url);
  }
  assert.is(asked, 0);
});

test("an allowed host that redirects to an inner address is refused there", async () => {
  const { port } = inner.address() as AddressInfo;
  const redirecting = createHttpServer((_, response) => {
    response.writeHead(302, { location: `http://localhost:${port}/picture.png` }).end();
  });
  await new Promise<void>((resolve) => redirecting.listen(0, "127.0.0.1", resolve));
  const own = (redirecting.address() as AddressInfo).port;
  const trusting = createServer(model, { name: "demo", sources: { hosts: [`127.0.0.1:${own}`] } });
  const fromOwn = await listen(trusting);
  try {
    const before = asked;
    const client = new OpenAI({ baseURL: `${fromOwn.url}/v1`, apiKey: KEY, maxRetries: 0 });
    const url = `http://127.0.0.1:${own}/picture.png`;
    const error = await failure(client.chat.completions.create({ model: "demo", messages: readingOf(url) }));
    assert.is(error.code, "source_refused");
    assert.is(asked, before);
  } finally {
    await fromOwn.close();
    await new Promise((resolve) => redirecting.close(resolve));
  }
});

/** Until it holds: a test that waits for ever hangs. */
async function until(holds: () => boolean): Promise<number> {
  const start = performance.now();
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5));
  return performance.now() - start;
}

for (const stream of [true, false]) {
  test(`a client that goes away frees its request (${stream ? "a stream" : "a whole answer"})`, async () => {
    const stop = new AbortController();
    const endless = { ...READ, stream, ignore_eos: true, max_tokens: 4000 } as typeof READ;
    const answering = clientWith(KEY).chat.completions.create(endless, { signal: stop.signal });
    answering
      .then(async (chunks) => {
        for await (const _ of chunks as unknown as AsyncIterable<unknown>);
      })
      .catch(() => undefined);
    await until(() => model.stats().running === 1);
    stop.abort();
    await until(() => model.stats().running === 0 && model.stats().waiting === 0);
  });
}

test("a client that goes while it waits leaves the line", async () => {
  const endless = { ...READ, ignore_eos: true, max_tokens: 4000 } as typeof READ;
  const { completions } = clientWith(KEY).chat;
  const [first, second] = [new AbortController(), new AbortController()];
  const running = completions.create(endless, { signal: first.signal }).catch(() => "gone");
  await until(() => model.stats().running === 1);
  const waiting = completions.create(endless, { signal: second.signal }).catch(() => "gone");
  await until(() => true);
  second.abort();
  assert.is(await waiting, "gone");
  first.abort();
  assert.is(await running, "gone");
  await until(() => model.stats().running === 0);
  const { choices } = await completions.create(READ);
  assert.is(choices[0]?.message.content, "Hello world");
});

test.run();
