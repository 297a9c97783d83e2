/** Adapters that requests load and unload, of folders that the host named. */
import { cp, mkdir, mkdtemp, realpath, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { loadModel, type Model } from "../../src/index.ts";
import { adaptersWithin } from "../../src/server/adapters-within.node.ts";
import { createServer, type GlimtServer } from "../../src/server/server.ts";
import { post } from "./demo.ts";

const ADAPTER = "test/golden/data/lora/glm_ocr-tiny/language";
let folder: string;
let model: Model;
let server: GlimtServer;
test.before(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), "glimt-adapters-")));
  await mkdir(join(folder, "open/empty"), { recursive: true });
  await cp(ADAPTER, join(folder, "open/language"), { recursive: true });
  await cp(ADAPTER, join(folder, "secret"), { recursive: true });
  await symlink(join(folder, "secret"), join(folder, "open/link"));
  model = await loadModel("test/golden/data/glm_ocr-tiny", { backend: "wasm", threads: 1, dataParallel: 2 });
  const adapterLocation = adaptersWithin([join(folder, "nowhere"), join(folder, "open")]);
  server = createServer(model, { name: "tiny", adapterLocation, checkpointSampling: false });
});
test.after(async () => {
  await model.dispose();
  await rm(folder, { recursive: true });
});

const ask = async (path: string, body: object) => {
  const response = await server.fetch(post(path, body));
  return { status: response.status, text: await response.text() };
};
const load = (name: string, path: string) =>
  ask("/v1/load_lora_adapter", { lora_name: name, lora_path: path });
const unload = (name: string) => ask("/v1/unload_lora_adapter", { lora_name: name });
const answerOf = async (name: string) => {
  const messages = [{ role: "user", content: "What is this?" }];
  const { status, text } = await ask("/v1/chat/completions", {
    model: name,
    messages,
    max_tokens: 8,
    logprobs: true,
  });
  return { status, said: status === 200 ? JSON.stringify(JSON.parse(text).choices) : "" };
};

test("an adapter is a model from when it is loaded until it is unloaded", async () => {
  const plain = await answerOf("tiny");
  assert.is((await answerOf("mine")).status, 404);
  const loaded = await load("mine", "language");
  assert.is(loaded.status, 200, loaded.text);
  const listed = await (await server.fetch(new Request("http://localhost/v1/models"))).text();
  assert.match(listed, /"mine"/);
  const mine = await answerOf("mine");
  assert.is(mine.status, 200);
  assert.is.not(mine.said, plain.said);
  assert.is((await answerOf("tiny")).said, plain.said);
  assert.is((await load("mine", "language")).status, 400);
  assert.is((await load("tiny", "language")).status, 400);
  assert.is((await unload("mine")).status, 200);
  assert.is((await unload("mine")).status, 404);
  assert.is((await answerOf("mine")).status, 404);
});

test("the whole path of a folder in them will do", async () => {
  assert.is((await load("whole", join(folder, "open/language"))).status, 200);
  assert.is((await unload("whole")).status, 200);
});

const OUTSIDE = [
  "../secret",
  "link",
  "..",
  ".",
  "",
  "language/../../secret",
  "nothing",
  "/etc",
  "a\0b",
  "https://example.com/a",
  "org/name",
];
for (const path of OUTSIDE) {
  test(`not found: ${JSON.stringify(path)}`, async () => {
    const { status, text } = await load("out", path);
    assert.is(status, 404);
    assert.not.match(text, /glimt-adapters/);
  });
}

test("what is no adapter is told without where it lies", async () => {
  const { status, text } = await load("empty", "empty");
  assert.is(status, 400);
  assert.not.match(text, /glimt-adapters/);
  assert.equal(model.adapters, []);
});

test("what a request lacks is named", async () => {
  const { status, text } = await ask("/v1/load_lora_adapter", { lora_name: "a" });
  assert.is(status, 400);
  assert.match(text, /lora_path is missing/);
});

test.run();
