/** What is given for a checkpoint and is none: a model's page, an id, a relative address with nothing to go by. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { httpFiles } from "../../src/checkpoint/http.ts";
import type { ModelLocation, OpenFiles } from "../../src/checkpoint/location.ts";
import * as edge from "../../src/edge.ts";
import * as node from "../../src/node-files.ts";
import { failure } from "./fixtures.ts";
import { serve, withServer } from "./server.ts";

const FILES = "https://huggingface.co/zai-org/GLM-OCR/resolve/";

const PAGES: Record<string, string> = {
  "https://huggingface.co/zai-org/GLM-OCR": "main",
  "https://huggingface.co/zai-org/GLM-OCR/": "main",
  "https://hf.co/zai-org/GLM-OCR?library=transformers": "main",
  "https://www.huggingface.co/zai-org/GLM-OCR#intro": "main",
  "https://huggingface.co/zai-org/GLM-OCR/tree/main": "main",
  "https://huggingface.co/zai-org/GLM-OCR/tree/v1.0": "v1.0",
  "https://huggingface.co/zai-org/GLM-OCR/blob/main/config.json": "main",
  "https://huggingface.co/zai-org/GLM-OCR/raw/main/config.json": "main",
  "https://huggingface.co/zai-org/GLM-OCR/discussions/3": "main",
  "hf://zai-org/GLM-OCR": "main",
};

for (const open of [node.openFiles, edge.openFiles]) {
  for (const [page, revision] of Object.entries(PAGES)) {
    test(`${open === edge.openFiles ? "edge" : "Node"}: ${page} names the address of its files`, async () => {
      const error = await failure(() => open(page));
      assert.is(error.code, "CHECKPOINT_NOT_FOUND");
      assert.ok(error.message.includes(FILES + revision), error.message);
    });
  }
}

test("the address of the files themselves is taken", async () => {
  assert.is(httpFiles(`${FILES}main`).location, `${FILES}main`);
  assert.is(httpFiles(`${FILES}main/`).location, `${FILES}main`);
  assert.is(httpFiles("https://mirror.test/zai-org/GLM-OCR").location, "https://mirror.test/zai-org/GLM-OCR");
});

test("Node: the id of a model names the address of its files; a path that is not there does not", async () => {
  assert.ok((await failure(() => node.openFiles("zai-org/GLM-OCR"))).message.includes(`${FILES}main`));
  for (const path of ["./models/GLM-OCR", "/zai-org/GLM-OCR", "a/b/c", "GLM-OCR"]) {
    const error = await failure(() => node.openFiles(path));
    assert.is(error.code, "CHECKPOINT_NOT_FOUND");
    assert.not.match(error.message, "huggingface.co");
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

test("edge: an id that is no path of the page either names the address of its files", async () => {
  await withServer(
    (request, response) => serve(new Map(), request, response),
    async (url) => {
      const files = await withGlobals({ document: { baseURI: `${url}/app/` } }, () =>
        edge.openFiles("zai-org/GLM-OCR"),
      );
      assert.is(files.location, `${url}/app/zai-org/GLM-OCR`);
      const error = await failure(() => edge.openCheckpoint(files));
      assert.is(error.code, "CHECKPOINT_NOT_FOUND");
      assert.ok(error.message.includes(`${FILES}main`), error.message);
    },
  );
});

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

test("Node: file addresses that name no local path", async () => {
  for (const address of ["file://host/share", "file:///a%2Fb", "file:///%00"]) {
    const error = await failure(() => node.openFiles(address));
    assert.ok(["OPTION_INVALID", "CHECKPOINT_NOT_FOUND"].includes(error.code), error.message);
  }
});

test.run();
