/** `glimt run` saves a session, and another process begins with it. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";

const folder = mkdtempSync(join(tmpdir(), "glimt-session-"));
test.after(() => rmSync(folder, { recursive: true }));
const SESSION = join(folder, "page.session");

function run(model: string, ...args: string[]) {
  const asked = ["dist/cli.js", "run", `test/golden/data/${model}`, "What is on this page? ".repeat(6)];
  const flags = ["--image", "test/golden/data/images/photo.png", "--max-tokens", "6", "--backend", "wasm"];
  return spawnSync(process.execPath, [...asked, ...flags, ...args], { encoding: "utf8" });
}

function answer(model: string, ...args: string[]) {
  const { status, stdout, stderr } = run(model, ...args, "--json");
  assert.is(status, 0, stderr);
  const { text, tokenIds, topLogits, usage } = JSON.parse(stdout);
  return { facts: { text, tokenIds, topLogits }, usage };
}

test("another process goes on behind what was saved, with the same bits", () => {
  const first = answer("glm_ocr-tiny", "--save-session", SESSION);
  const second = answer("glm_ocr-tiny", "--restore-session", SESSION);
  assert.equal(second.facts, first.facts);
  assert.is(first.usage.cachedTokens, 0);
  assert.ok(second.usage.cachedTokens > second.usage.promptTokens - 32, JSON.stringify(second.usage));
});

test("a session of another model, and sessions with adapters, are refused", () => {
  const other = run("glm4v-tiny", "--restore-session", SESSION);
  assert.is(other.status, 1);
  assert.match(other.stderr, /can not be restored: it is of another model/);
  const adapter = run("glm_ocr-tiny", "--save-session", SESSION, "--adapter", "nowhere");
  assert.is(adapter.status, 1);
  assert.match(adapter.stderr, /leave out --adapter/);
});

test.run();
