/** The package in engines other than Chromium's: the same answers as in Node, in a worker and on the page, alone and on threads. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { ModelBackend } from "../../src/api/model.ts";
import { type Answer, CHECKPOINT, PICTURE } from "./answer.mjs";
import { type Engine, findEngine, withEngine } from "./engines.ts";
import { serveLoopback } from "./loopback.ts";
import { answerInNode } from "./node-answer.ts";

const FOLDERS = { "/dist/": "dist", "/examples/": "examples", "/test/": "test/browser" };
const ISOLATED = {
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
};
/** It tells what it found by the address that it asks for. */
const PAGE = `<!doctype html><link rel="icon" href="data:,"><script type="module">
const tell = (found) => fetch("/found/" + btoa(JSON.stringify(found)).replaceAll("/", "_"));
const tellError = (error) => tell({ error: String(error?.message ?? error) });
addEventListener("unhandledrejection", ({ reason }) => tellError(reason));
addEventListener("error", ({ message }) => tellError(message));
const { loadModel } = await import("/dist/edge.js");
const { answer } = await import("/test/answer.mjs");
const picture = await (await fetch("/${PICTURE}")).blob();
const backends = [];
const loaded = async (checkpoint, options) => {
  const model = await loadModel(checkpoint, { ...options, worker: location.pathname !== "/here" });
  backends.push(model.backend);
  return model;
};
const found = await answer(loaded, "/${CHECKPOINT}", picture);
await tell({ answer: found, backend: backends[0] });
</script>`;

interface Found {
  readonly error?: string;
  readonly answer?: Answer;
  readonly backend?: ModelBackend;
}

async function visit(
  engine: Engine,
  path: string,
  headers: Readonly<Record<string, string>>,
): Promise<Found> {
  const server = await serveLoopback(FOLDERS, { "/": PAGE, "/here": PAGE }, headers);
  try {
    return await withEngine(engine, server.origin + path, async (signal) => {
      while (!signal.aborted) {
        const told = server.requests.find(({ path }) => path.startsWith("/found/"));
        if (told) return JSON.parse(atob(told.path.slice("/found/".length).replaceAll("_", "/"))) as Found;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      return {};
    });
  } finally {
    server.close();
  }
}

for (const name of ["Firefox", "WebKit"] as const) {
  const engine = findEngine(name);
  if (typeof engine === "string") console.log(`skipped: ${engine}`);
  const inEngine = (title: string, run: (engine: Engine) => Promise<void>) =>
    typeof engine === "string" ? test.skip(title) : test(`${name}: ${title}`, () => run(engine));

  inEngine("as in Node, on several threads of a page that is cross-origin isolated", async (engine) => {
    const { error, answer, backend } = await visit(engine, "/", ISOLATED);
    assert.is(error, undefined);
    assert.equal(answer, await answerInNode());
    assert.ok(backend?.threads && backend.threads > 1, backend?.description);
  });

  inEngine("as in Node, on one thread of a page that is not, which says so", async (engine) => {
    const { error, answer, backend } = await visit({ ...engine, sharing: {} }, "/", {});
    assert.is(error, undefined);
    assert.equal(answer, await answerInNode());
    assert.is(backend?.threads, 1);
    assert.match(backend?.limits.join() ?? "", /One thread, since this page is not cross-origin isolated/);
  });

  inEngine("as in Node, on the page's own thread", async (engine) => {
    const { error, answer } = await visit(engine, "/here", ISOLATED);
    assert.is(error, undefined);
    assert.equal(answer, await answerInNode());
  });
}

const webKit = findEngine("WebKit");
(typeof webKit === "string" ? test.skip : test)(
  "a page that is isolated where threads share no memory is told that",
  async () => {
    const { error, backend } = await visit({ ...(webKit as Engine), sharing: {} }, "/", ISOLATED);
    assert.is(error, undefined);
    assert.match(
      backend?.limits.join() ?? "",
      /One thread, since this host shares no memory between threads/,
    );
  },
);

test.run();
