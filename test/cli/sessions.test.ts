/** `glimt run` saves a session, and another process begins with it. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { runCommand } from "../../src/cli/run.ts";
import { complaint } from "./command.ts";

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

test("what is wrong with a session's file is told before the weights are read", async () => {
  const missing = join(folder, "none", "page.session");
  const refused: [string[], RegExp][] = [
    [["--restore-session", missing], /can not be read: ENOENT.*\[SESSION_INVALID\]/],
    [["--restore-session", folder], /can not be read: it is a directory.*\[SESSION_INVALID\]/],
    [["--save-session", missing], /can not be written: there is no such folder.*\[OUTPUT_FAILED\]/],
    [["--save-session", folder], /can not be written: it is a directory.*\[OUTPUT_FAILED\]/],
    [["--save-session", SESSION, "--no-prefix-cache"], /leave out --no-prefix-cache.*\[OPTION_INVALID\]/],
    [["--save-session", SESSION, "--devices", "0,1"], /leave out --devices.*\[OPTION_INVALID\]/],
    [["--save-session", SESSION, "--tensor-parallel", "2"], /of several devices.*\[OPTION_INVALID\]/],
  ];
  for (const [flags, message] of refused) {
    // Where there are no weights.
    assert.match(await complaint(runCommand(), ["nowhere", "Hi", ...flags]), message);
  }
  assert.equal(readdirSync(folder), ["page.session"]);
});

test.run();
