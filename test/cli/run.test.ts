/** `glimt run` as a user types it: what it answers, against what transformers answered. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { goldenCase } from "../golden/load.ts";
import { glimt, IMAGE, json, ONE_IMAGE, QUESTION } from "./command.ts";

const model = "test/golden/data/glm4v-tiny";
const folder = mkdtempSync(join(tmpdir(), "glimt-run-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

for (const backend of ["wasm", "reference"]) {
  test(`run --json on ${backend} prints everything about one answer`, () => {
    const found = json(
      "run",
      model,
      "--image",
      IMAGE,
      QUESTION,
      "--backend",
      backend,
      "--media",
      "huggingface",
      "--max-tokens",
      "24",
      "--json",
    );
    assert.is(found.text, ONE_IMAGE.text);
    assert.is(found.promptText, ONE_IMAGE.promptText);
    assert.equal(found.promptIds, ONE_IMAGE.inputIds);
    assert.equal(found.mmTokenTypeIds, ONE_IMAGE.mmTokenTypeIds);
    assert.equal(found.imageGridThw, ONE_IMAGE.imageGridThw);
    assert.equal(found.videoGridThw, []);
    assert.equal(found.positionIds, ONE_IMAGE.positionIds);
    assert.is(found.ropeDelta, ONE_IMAGE.ropeDelta);
    assert.equal(found.tokenIds, ONE_IMAGE.tokenIds);
    assert.is(found.finishReason, ONE_IMAGE.finishReason);
    assert.is(found.topLogits.length, 10);
    assert.is(found.backend, backend);
    assert.match(
      found.engine.description,
      backend === "wasm" ? /^WebAssembly .*, \d+ threads?$/ : /TypeScript/,
    );
    assert.is(found.dtype, "f32");
    assert.ok(found.timings.total > 0);
  });
}

test("run answers with adapters, each at its scale", () => {
  const lora = "test/golden/data/lora/glm4v-tiny";
  const { runs } = JSON.parse(readFileSync(join(lora, "expected.json"), "utf8"));
  const expected = runs.findLast((run: { case: string }) => run.case === "one-image");
  const flags = expected.adapters.flatMap(({ name, scale }: { name: string; scale: number }) => [
    "--adapter",
    `${join(lora, name)}:${scale}`,
  ]);
  const asked = ["run", model, "--image", IMAGE, QUESTION, "--media", "huggingface", "--max-tokens", "24"];
  const found = json(...asked, "--json", ...flags);
  assert.equal(found.tokenIds, expected.greedyIds.slice(0, found.tokenIds.length));
  assert.equal(
    found.adapters.map(({ name, scale }: { name: string; scale: number }) => ({ name, scale })),
    expected.adapters,
  );
});

test("run streams the text, and nothing else, to stdout", () => {
  const { status, stdout, stderr } = glimt(
    "run",
    model,
    "--image",
    IMAGE,
    QUESTION,
    "--media",
    "huggingface",
    "--max-tokens",
    "24",
    "--temperature",
    "0",
  );
  assert.is(status, 0, stderr);
  assert.is(stdout, `${ONE_IMAGE.text}\n`);
  assert.is(stderr, "");
});

test("--messages runs a conversation, its pictures relative to the file", () => {
  const chat = goldenCase("glm4v-tiny", "chat");
  const file = join(folder, "chat.json");
  const messages = chat.messages.map(({ role, content }) => ({
    role,
    content: Array.isArray(content)
      ? content.map((part) =>
          part.type === "image" ? { ...part, image: relative(folder, part.image) } : part,
        )
      : content,
  }));
  writeFileSync(file, JSON.stringify(messages));
  const found = json(
    "run",
    model,
    "--messages",
    file,
    "--media",
    "huggingface",
    "--max-tokens",
    "24",
    "--json",
  );
  assert.equal(found.promptIds, chat.inputIds);
  assert.equal(found.tokenIds, chat.tokenIds);
});

test.run();
