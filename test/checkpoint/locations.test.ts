/** What is given for a checkpoint: a model's name or page, an address, a path, and what is none of these. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { httpFiles } from "../../src/checkpoint/http.ts";
import type { ModelLocation, OpenFiles } from "../../src/checkpoint/location.ts";
import * as edge from "../../src/edge.ts";
import type { GlimtError } from "../../src/errors.ts";
import * as node from "../../src/node-files.ts";
import { failure } from "./fixtures.ts";
import { withServer } from "./server.ts";

const FILES = "https://huggingface.co/zai-org/GLM-OCR/resolve/";

const NAMES: Record<string, string> = {
  "https://huggingface.co/zai-org/GLM-OCR": "main",
  "https://huggingface.co/zai-org/GLM-OCR/": "main",
  "https://hf.co/zai-org/GLM-OCR?library=transformers": "main",
  "https://www.huggingface.co/zai-org/GLM-OCR#intro": "main",
  "https://huggingface.co/zai-org/GLM-OCR/tree/main": "main",
  "https://huggingface.co/zai-org/GLM-OCR/tree/v1.0": "v1.0",
  "https://huggingface.co/zai-org/GLM-OCR/tree/refs%2Fpr%2F1": "refs%2Fpr%2F1",
  "https://huggingface.co/zai-org/GLM-OCR/blob/main/config.json": "main",
  "https://huggingface.co/zai-org/GLM-OCR/raw/main/config.json": "main",
  "https://huggingface.co/zai-org/GLM-OCR/discussions/3": "main",
  "hf://zai-org/GLM-OCR": "main",
  "zai-org/GLM-OCR": "main",
  "zai-org/GLM-OCR@v1.0": "v1.0",
  "zai-org/GLM-OCR@refs/pr/1": "refs%2Fpr%2F1",
};

/** What is asked of the Hub, which knows no model. */
async function askedFor(open: OpenFiles, location: string): Promise<{ asked: string[]; error: GlimtError }> {
  const asked: string[] = [];
  const send: typeof fetch = async (address) => {
    asked.push(String(address));
    return new Response("", { status: 404, headers: { "x-error-code": "RepoNotFound" } });
  };
  const hub = { endpoint: "https://huggingface.co", token: false } as const;
  return { error: await failure(() => open(location, { fetch: send, hub })), asked };
}

for (const open of [node.openFiles, edge.openFiles]) {
  for (const [name, revision] of Object.entries(NAMES)) {
    test(`${open === edge.openFiles ? "edge" : "Node"}: ${name} is a model of the Hub`, async () => {
      const { asked, error } = await askedFor(open, name);
      assert.equal(asked, [
        `https://huggingface.co/api/models/zai-org/GLM-OCR/revision/${revision}?blobs=true`,
      ]);
      assert.is(error.code, "CHECKPOINT_NOT_FOUND");
      assert.match(error.message, "./zai-org/GLM-OCR");
    });
  }
}

test("the address of the files themselves is taken", async () => {
  assert.is(httpFiles(`${FILES}main`).location, `${FILES}main`);
  assert.is(httpFiles(`${FILES}main/`).location, `${FILES}main`);
  assert.is((await node.openFiles(`${FILES}main`)).location, `${FILES}main`);
  const mirror = "https://mirror.test/zai-org/GLM-OCR";
  assert.is((await node.openFiles(mirror)).location, mirror);
});

test("Node: a path that is not there and can be no model's id is a path", async () => {
  for (const path of ["./models/GLM-OCR", "/zai-org/GLM-OCR", "a/b/c", "GLM-OCR", "a--b/c"]) {
    const { error, asked } = await askedFor(node.openFiles, path);
    assert.is(error.code, "CHECKPOINT_NOT_FOUND");
    assert.match(error.message, "is not there");
    assert.equal(asked, []);
  }
});

async function withGlobals<T>(globals: Record<string, unknown>, use: () => Promise<T>): Promise<T> {
  Object.assign(globalThis, globals);
  try {
    return await use();
  } finally {
    for (const name of Object.keys(globals)) delete (globalThis as Record<string, unknown>)[name];
  }
}

test("edge: a relative address goes by the page, or by a worker's script, or is refused", async () => {
  const location = { href: "https://app.test/scripts/worker.js" };
  assert.is(
    (await withGlobals({ location }, () => edge.openFiles("../models/ocr"))).location,
    "https://app.test/models/ocr",
  );
  for (const globals of [{}, { location: { href: "blob:https://app.test/1234" } }]) {
    const error = await failure(() => withGlobals(globals, () => edge.openFiles("/models/ocr")));
    assert.is(error.code, "OPTION_INVALID");
    assert.match(error.message, "relative address");
  }
});

const NO_LOCATIONS: readonly unknown[] = [
  undefined,
  null,
  5,
  Symbol("x"),
  {},
  [null],
  ["config.json"],
  [new Blob([])],
  new Map([["config.json", null]]),
  new Map([[1, new Blob([])]]),
  "s3://bucket/model",
  "gs://bucket/model",
  "ftp://host/model",
  "http://",
  "https://[bad/",
  `data:${"x".repeat(1000)}`,
];

for (const [entry, open] of Object.entries({ node: node.openFiles, edge: edge.openFiles }) as [
  string,
  OpenFiles,
][]) {
  for (const [index, location] of NO_LOCATIONS.entries()) {
    test(`${entry}: what is no location (${index}) is refused by a code, in few words`, async () => {
      const error = await failure(() => open(location as ModelLocation));
      assert.ok(["OPTION_INVALID", "CHECKPOINT_NOT_FOUND"].includes(error.code), error.code);
      assert.ok(error.message.length < 500, error.message);
    });
  }
}

test("the address of a checkpoint's file in place of that of its directory", async () => {
  await withServer(
    (_, response) => response.writeHead(404).end(),
    async (url) => {
      for (const file of ["config.json", "model.safetensors?download=true"]) {
        const files = await node.openFiles(`${url}/resolve/main/${file}`);
        const error = await failure(() => edge.openCheckpoint(files));
        assert.is(error.code, "CHECKPOINT_NOT_FOUND");
        assert.match(error.message, "give that of the directory it lies in");
      }
    },
  );
});

test("what says how to reach a server is read of a folder too: a misspelt name is told", async () => {
  for (const open of [node.openFiles, edge.openFiles]) {
    const files = new Map([["config.json", new Blob(["{}"])]]);
    const hub = await failure(() => open(files, { hub: { tokn: "hf_secret" } as object }));
    assert.is(hub.code, "OPTION_INVALID");
    assert.match(hub.message, /^hub has no option "tokn"/);
    const headers = await failure(() => open(files, { headers: "Bearer secret" as never }));
    assert.is(headers.code, "OPTION_INVALID");
    assert.match(headers.message, /^headers \(string\)/);
  }
});

test("Node: file addresses that name no local path", async () => {
  for (const address of ["file://host/share", "file:///a%2Fb", "file:///%00"]) {
    const error = await failure(() => node.openFiles(address));
    assert.ok(["OPTION_INVALID", "CHECKPOINT_NOT_FOUND"].includes(error.code), error.message);
  }
});

test.run();
