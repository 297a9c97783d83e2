/** Places are given back, whatever becomes of the requests that had them. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type DocumentRun, documentResult, type ReadDocument } from "../../src/documents/read-document.ts";
import type { Model } from "../../src/index.ts";
import { createServer, type GlimtServer } from "../../src/server/server.ts";
import { loadDemo, post } from "./demo.ts";

let model: Model;
test.before(async () => {
  model = await loadDemo();
});
test.after(() => model.dispose());

const load = async (server: GlimtServer): Promise<number> => {
  const response = await server.fetch(new Request("http://localhost/load"));
  return ((await response.json()) as { server_load: number }).server_load;
};

const OUT_OF_VOCABULARY = [2 ** 30];
const others = Array.from({ length: 8 }, () => [1, 2, 3]);

test("prompts that waited beside one that is refused are not answered to nobody", async () => {
  const server = createServer(model, { limits: { concurrency: 2 } });
  const body = { prompt: [OUT_OF_VOCABULARY, ...others], max_tokens: 50, ignore_eos: true };
  const response = await server.fetch(post("/v1/completions", body));
  assert.is(response.status, 400);
  assert.is(await load(server), 0);
});

test("and in a stream they give back the places that they get behind it", async () => {
  const server = createServer(model, { limits: { concurrency: 2 } });
  const body = {
    prompt: [[1, 2], OUT_OF_VOCABULARY, ...others],
    max_tokens: 50,
    ignore_eos: true,
    stream: true,
  };
  const response = await server.fetch(post("/v1/completions", body));
  assert.match(await response.text(), /"error"/);
  assert.is(await load(server), 0);
  const next = await server.fetch(post("/v1/completions", { prompt: [1, 2], max_tokens: 1, n: 2 }));
  assert.is(next.status, 200);
});

test("a page that can not be read gives back its place before the others are", async () => {
  const pages = [OUT_OF_VOCABULARY, OUT_OF_VOCABULARY, OUT_OF_VOCABULARY, [1, 2]];
  const server = createServer(model, { limits: { concurrency: 1 }, readDocument: readPages(pages) });
  const response = await server.fetch(post("/glmocr/parse", { images: ["data:,"] }));
  assert.is(response.status, 200);
  assert.is(await load(server), 0);
});

test("prompts of one request do not fill the line", async () => {
  const server = createServer(model, { limits: { concurrency: 4, queue: 1 } });
  const prompt = Array.from({ length: 32 }, () => [1, 2]);
  const warnings: string[] = [];
  const warned = ({ name }: Error) => warnings.push(name);
  process.on("warning", warned);
  for (const stream of [false, true]) {
    const response = await server.fetch(post("/v1/completions", { prompt, max_tokens: 1, stream }));
    const text = await response.text();
    assert.is(response.status, 200, text);
    assert.not.match(text, /"error"/);
  }
  process.off("warning", warned);
  assert.not(warnings.includes("MaxListenersExceededWarning"));
});

test("nor do pages of a document", async () => {
  const pages = Array.from({ length: 8 }, () => [1, 2]);
  const failed: unknown[] = [];
  const readDocument: ReadDocument = (reader) => {
    const complete = reader.complete as unknown as (prompt: object, options: object) => Promise<unknown>;
    const reading = pages.map((inputIds) => complete({ inputIds }, { maxTokens: 1 }));
    const all = Promise.all(reading.map((page) => page.catch((error) => failed.push(error))));
    return { result: all.then(() => documentResult([])) } as unknown as DocumentRun;
  };
  const server = createServer(model, { limits: { concurrency: 1, queue: 1 }, readDocument });
  await server.fetch(post("/glmocr/parse", { images: ["data:,"] }));
  assert.equal(failed, []);
});

test("a request of many prompts is one in the line", async () => {
  const server = createServer(model, { limits: { concurrency: 1, queue: 1 } });
  const ask = (prompt: unknown) => server.fetch(post("/v1/completions", { prompt, max_tokens: 2 }));
  const statuses = (
    await Promise.all([
      ask([1, 2]),
      ask([
        [1, 2],
        [1, 2],
        [1, 2],
      ]),
      ask([1, 2]),
    ])
  ).map(({ status }) => status);
  assert.equal(statuses, [200, 200, 429]);
});

/** A document of these pages, those left out that can not be read. */
function readPages(pages: readonly (readonly number[])[]): ReadDocument {
  return (reader) => {
    const read = async () => {
      const complete = reader.complete as unknown as (prompt: object, options: object) => Promise<unknown>;
      for (const inputIds of pages) await complete({ inputIds }, { maxTokens: 1 }).catch(() => undefined);
      return documentResult([]);
    };
    return { result: read() } as unknown as DocumentRun;
  };
}

test.run();
