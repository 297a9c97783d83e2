/** Pages of documents in a queue of BullMQ over Redis. Workers that are killed are this file again. */
import { fork } from "node:child_process";
import { once } from "node:events";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { Queue } from "bullmq";
import { Redis } from "ioredis";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  createPageWorker,
  openDocuments,
  type PageTask,
  type PageWorkerOptions,
  type ServedModel,
} from "../../src/batch.ts";
import { workerCommand } from "../../src/cli/worker.ts";
import { GlimtError } from "../../src/errors.ts";
import { loadDemo, readingOf } from "../server/demo.ts";
import { hasRedis, type RedisServer, startRedis } from "./redis.ts";

/** As much of a model as a task of its own needs. */
const idle = { stats: () => ({ running: 0, waiting: 0, maxSequences: 8 }) } as unknown as ServedModel;
const STALL_MS = 1000;
/** Where nobody listens. */
const REFUSED = "redis://127.0.0.1:9";

if (process.env.GLIMT_PAGE_WORKER) {
  const { connection, queue } = JSON.parse(process.env.GLIMT_PAGE_WORKER);
  // Begins pages and never ends them.
  const task: PageTask = (page) => {
    process.send?.(page);
    return new Promise(() => {});
  };
  await createPageWorker(idle, { connection, queue, task, stallTimeout: STALL_MS });
  // Until it is killed.
  await new Promise(() => {});
}

let redis: RedisServer;
let count = 0;
const address = () => ({ connection: { path: redis.socket }, queue: `q${++count}` });

const withRedis = hasRedis ? test : test.skip;
if (!hasRedis) console.log("skipped: there is no redis-server (Debian: apt-get install redis-server)");
test.before(async () => {
  if (hasRedis) redis = await startRedis();
});
test.after(() => redis?.stop());

type Address = ReturnType<typeof address>;

async function withWorker<T>(
  given: Address & Partial<PageWorkerOptions>,
  use: (documents: Awaited<ReturnType<typeof openDocuments>>) => Promise<T>,
): Promise<T> {
  const { connection, queue } = given;
  const documents = await openDocuments({ connection, queue });
  const worker = await createPageWorker(idle, { stallTimeout: STALL_MS, ...given });
  try {
    return await use(documents);
  } finally {
    await worker.close();
    await documents.close();
  }
}

const pages = (n: number) => Array.from({ length: n }, (_, i) => ({ n: i + 1 }));
const numberOf = (page: object) => (page as { n: number }).n;

withRedis("pages are read by the model, as it reads them alone", async () => {
  const model = await loadDemo();
  const { connection, queue } = address();
  const documents = await openDocuments({ connection, queue });
  const worker = await createPageWorker(model, { connection, queue, name: "demo", sources: "any" });
  try {
    const names = ["hello", "numbers", "hello", "receipt"];
    const body = (name: string) => ({
      model: "demo",
      temperature: 0,
      messages: readingOf(resolve(`examples/demo/pictures/${name}.png`)),
    });
    await documents.add({
      id: "letters",
      pages: [...names.map((name) => ({ body: body(name) })), { body: { messages: 3 } }],
    });
    const { pages } = await documents.result("letters");
    const texts = pages.map((page) =>
      "error" in page
        ? page.error.code
        : (page.answer as { choices: { message: { content: string } }[] }).choices[0]?.message.content,
    );
    assert.equal(texts, [
      "Hello world",
      "#48213 17:05\n92% 7304",
      "Hello world",
      "Tea 3.50\nTotal $12.75\n11/24/2026",
      "INPUT_INVALID",
    ]);
  } finally {
    await worker.close();
    await documents.close();
    await model.dispose();
  }
});

withRedis("what may pass is tried again, what is wrong with a page is not, and the document has both", () => {
  const tries = new Map<number, number>();
  const task: PageTask = async (page) => {
    const n = numberOf(page);
    tries.set(n, (tries.get(n) ?? 0) + 1);
    if (n === 2) throw new GlimtError("IMAGE_INVALID", "No picture.");
    if (n === 3 && tries.get(n) === 1) throw new GlimtError("OUT_OF_MEMORY", "Full.");
    if (n === 4) throw new GlimtError("TIMED_OUT", "Late.");
    return n;
  };
  return withWorker({ ...address(), task }, async (documents) => {
    await documents.add({ id: "d", pages: pages(4), attempts: 2 });
    assert.equal(await documents.result("d"), {
      pages: [
        { page: 1, answer: 1 },
        { page: 2, error: { code: "IMAGE_INVALID", message: "No picture." } },
        { page: 3, answer: 3 },
        { page: 4, error: { code: "TIMED_OUT", message: "Late." } },
      ],
    });
    assert.equal([...tries].sort(), [
      [1, 1],
      [2, 1],
      [3, 2],
      [4, 2],
    ]);
  });
});

withRedis("a document is added once; another one of its id is refused", async () => {
  let read = 0;
  const task = async () => ++read;
  await withWorker({ ...address(), task }, async (documents) => {
    assert.is(await documents.add({ id: "d", pages: pages(2) }), true);
    assert.is(await documents.add({ id: "d", pages: pages(2) }), false);
    await documents.result("d");
    assert.is(await documents.add({ id: "d", pages: pages(2) }), false);
    assert.is(read, 2);
    const refused = await documents.add({ id: "d", pages: pages(3) }).then(
      () => null,
      (error) => error,
    );
    assert.is(refused?.code, "INPUT_INVALID");
    const none = await documents.result("none").then(
      () => null,
      (error) => error,
    );
    assert.is(none?.code, "INPUT_INVALID");
  });
});

withRedis("a worker that is killed loses nothing, and every page is answered once", async () => {
  const { connection, queue } = address();
  const documents = await openDocuments({ connection, queue });
  const env = { ...process.env, GLIMT_PAGE_WORKER: JSON.stringify({ connection, queue }) };
  const child = fork(fileURLToPath(import.meta.url), { env, stdio: "inherit" });
  try {
    await documents.add({ id: "d", pages: pages(6) });
    await once(child, "message");
  } finally {
    child.kill("SIGKILL");
  }
  const read: number[] = [];
  const task: PageTask = async (page) => {
    read.push(numberOf(page));
    return numberOf(page);
  };
  const worker = await createPageWorker(idle, { connection, queue, task, stallTimeout: STALL_MS });
  const { pages: results } = await documents.result("d");
  assert.equal(
    results,
    pages(6).map(({ n }) => ({ page: n, answer: n })),
  );
  assert.equal(read.sort(), [1, 2, 3, 4, 5, 6]);
  await worker.close();
  await documents.close();
});

withRedis("close finishes what runs; at once, it goes back to the queue", async () => {
  const { connection, queue } = address();
  const documents = await openDocuments({ connection, queue });
  const begun: { n: number; end: () => void }[] = [];
  let wake = () => {};
  const task: PageTask = (page, { signal }) =>
    new Promise((done, failed) => {
      begun.push({ n: numberOf(page), end: () => done(numberOf(page)) });
      signal.addEventListener("abort", () => failed(new GlimtError("ABORTED", "Stopped.")));
      wake();
    });
  const next = () =>
    new Promise<void>((resolve) => {
      wake = resolve;
    });
  const options = { connection, queue, task, stallTimeout: STALL_MS, concurrency: 1 };

  const first = await createPageWorker(idle, options);
  let came = next();
  await documents.add({ id: "d", pages: pages(2) });
  await came;
  assert.is(first.running, 1);
  const closed = first.close();
  begun[0]?.end();
  await closed;
  await first.ended;

  came = next();
  const second = await createPageWorker(idle, options);
  await came;
  await second.close({ now: true });

  came = next();
  const third = await createPageWorker(idle, options);
  await came;
  assert.equal(
    begun.map(({ n }) => n),
    [1, 2, 2],
  );
  begun[2]?.end();
  assert.equal((await documents.result("d")).pages, [
    { page: 1, answer: 1 },
    { page: 2, answer: 2 },
  ]);
  await third.close();
  await documents.close();
});

withRedis("a model that answers no more ends its worker, and others read its pages", async () => {
  const { connection, queue } = address();
  const documents = await openDocuments({ connection, queue });
  const broken = await createPageWorker(idle, {
    connection,
    queue,
    stallTimeout: STALL_MS,
    task: async () => {
      throw new GlimtError("DEVICE_FAILED", "The card fell off the bus.");
    },
  });
  await documents.add({ id: "d", pages: pages(2), attempts: 1 });
  const error = await broken.ended.then(
    () => null,
    (thrown) => thrown,
  );
  assert.is(error?.code, "DEVICE_FAILED");
  await broken.close();
  const worker = await createPageWorker(idle, {
    connection,
    queue,
    stallTimeout: STALL_MS,
    task: async (page) => numberOf(page),
  });
  assert.equal((await documents.result("d")).pages, [
    { page: 1, answer: 1 },
    { page: 2, answer: 2 },
  ]);
  await worker.close();
  await documents.close();
});

withRedis("progress: of a page as its task tells it, of a document by its pages", async () => {
  const { connection, queue } = address();
  const watched = new Queue(queue, { connection });
  let release = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const task: PageTask = async (page, { onProgress }) => {
    onProgress({ stage: "encoding", share: 0.5 });
    if (numberOf(page) === 2) await held;
    return 0;
  };
  await withWorker({ connection, queue, task }, async (documents) => {
    await documents.add({ id: "d", pages: pages(2) });
    const progressOf = async (id: string) => (await watched.getJob(id))?.progress as Record<string, unknown>;
    while ((await progressOf("document-d")).done !== 1) await new Promise((resume) => setTimeout(resume, 5));
    while ((await progressOf("document-d.page-2")).stage !== "encoding")
      await new Promise((resume) => setTimeout(resume, 5));
    release();
    await documents.result("d");
    // Redis keeps the document alone.
    while ((await watched.getJobCounts("wait", "active", "completed", "failed")).completed !== 1)
      await new Promise((resume) => setTimeout(resume, 5));
    assert.is(await watched.getJob("document-d.page-1"), undefined);
  });
  await watched.close();
});

withRedis("a wait for a result can be ended", () =>
  openDocuments(address()).then(async (documents) => {
    await documents.add({ id: "d", pages: pages(1) });
    const end = new AbortController();
    const waiting = documents.result("d", { signal: end.signal }).then(
      () => null,
      (error) => error,
    );
    end.abort();
    assert.is((await waiting)?.code, "ABORTED");
    for (const options of [null, { signal: 3 }, { sinal: end.signal }]) {
      const refused = documents.result("d", options as never).catch((error) => error.code);
      assert.is(await refused, "OPTION_INVALID");
    }
    await documents.close();
  }),
);

withRedis("a document that is done is told although its event was missed", async () => {
  const client = new Redis(redis.socket);
  // Nobody hears of an event.
  await client.acl("SETUSER", "default", "-xread");
  try {
    const task: PageTask = async (page) => numberOf(page);
    await withWorker({ ...address(), task }, async (documents) => {
      await documents.add({ id: "d", pages: pages(1) });
      assert.equal(await documents.result("d"), { pages: [{ page: 1, answer: 1 }] });
    });
  } finally {
    await client.acl("SETUSER", "default", "+xread");
    client.disconnect();
  }
});

withRedis("who waits for a result when the queue is closed is told", async () => {
  const documents = await openDocuments(address());
  await documents.add({ id: "d", pages: pages(1) });
  const waiting = documents.result("d").then(
    () => null,
    (error) => error,
  );
  await documents.close();
  assert.is((await waiting)?.code, "DISPOSED");
});

withRedis("who ends a wait is told at once, and the queue closes, though Redis says nothing", async () => {
  const silent = await startRedis();
  const documents = await openDocuments({ connection: { path: silent.socket } });
  await documents.add({ id: "d", pages: pages(1) });
  const client = new Redis(silent.socket);
  await client.call("CLIENT", "PAUSE", "600000", "ALL");
  client.disconnect();
  const end = new AbortController();
  const ended = documents.result("d", { signal: end.signal }).catch((error) => error.code);
  const waiting = documents.result("d").catch((error) => error.code);
  end.abort();
  assert.is(await ended, "ABORTED");
  const closed = documents.close();
  assert.is(await waiting, "DISPOSED");
  await closed;
  await silent.stop();
});

withRedis("a queue whose Redis is gone closes", async () => {
  const gone = await startRedis();
  const documents = await openDocuments({ connection: { path: gone.socket } });
  await documents.add({ id: "d", pages: pages(1) });
  const waiting = documents.result("d").catch((error) => error.code);
  await gone.stop();
  const asked = documents.result("d").catch((error) => error.code);
  const closed = documents.close();
  assert.equal(await Promise.all([waiting, asked]), ["DISPOSED", "DISPOSED"]);
  await closed;
});

withRedis("a worker whose Redis is gone closes at once", async () => {
  const gone = await startRedis();
  const address = { connection: { path: gone.socket } };
  const documents = await openDocuments(address);
  let begin = () => {};
  const begun = new Promise<void>((resolve) => {
    begin = resolve;
  });
  const task: PageTask = (_page, { signal }) => {
    begin();
    return new Promise((_, reject) => signal.addEventListener("abort", () => reject(new Error("Stopped."))));
  };
  const worker = await createPageWorker(idle, { ...address, task });
  await documents.add({ id: "d", pages: pages(1) });
  await begun;
  await gone.stop();
  await worker.close({ now: true });
  await worker.ended;
  await documents.close();
});

test("a Redis that does not answer is told once, before a model is loaded", async () => {
  let told = 0;
  const errors = await Promise.all(
    [
      createPageWorker(idle, { connection: REFUSED, task: async () => null, onError: () => told++ }),
      workerCommand().parseAsync(["no/such/model", "--redis", REFUSED], { from: "user" }),
    ].map((tried) =>
      (tried as Promise<unknown>).then(
        () => null,
        (error) => error,
      ),
    ),
  );
  for (const { code, message } of errors) {
    assert.is(code, "TIMED_OUT");
    assert.is(message, "Redis does not answer: connect ECONNREFUSED 127.0.0.1:9.");
  }
  assert.is(told, 0);
});

test("an address that is none, and a Redis that does not answer, are told", async () => {
  const codes = await Promise.all(
    ["localhost", 3, "http://a.org", REFUSED].map((connection) =>
      openDocuments({ connection } as never).then(
        () => null,
        (error) => error.code,
      ),
    ),
  );
  assert.equal(codes, ["OPTION_INVALID", "OPTION_INVALID", "OPTION_INVALID", "TIMED_OUT"]);
});

test.run();
