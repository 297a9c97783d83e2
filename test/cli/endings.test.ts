/** How the command ends when it is stopped, when nobody reads on, and when something is wrong under `--json`. */
import { spawn, spawnSync } from "node:child_process";
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { processCommand } from "../../src/cli/process.ts";
import { complaint, endlessDemo, glimt } from "./command.ts";

const CLI = "dist/cli.js";
const DEMO = "examples/demo/checkpoint";
const folder = mkdtempSync(join(tmpdir(), "glimt-endings-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

/** No token that it says ends it. */
const ENDLESS = endlessDemo(folder);
const LONG = ["run", ENDLESS, "Hello?", "--backend", "wasm", "--max-tokens", "4000"];

/** Runs until it says something, then gets `signals`. */
function stopped(args: readonly string[], ...signals: NodeJS.Signals[]) {
  return new Promise<{ status: number | null; killed: string | null; stderr: string }>((resolve) => {
    const child = spawn(process.execPath, [CLI, ...args]);
    let stderr = "";
    child.stderr.on("data", (chunk) => {
      stderr += chunk;
    });
    child.stdout.once("data", () => {
      for (const signal of signals) child.kill(signal);
    });
    child.on("close", (status, killed) => resolve({ status, killed, stderr }));
  });
}

for (const [signals, status] of [
  [["SIGINT"], 130],
  [["SIGTERM"], 143],
] as const) {
  test(`${signals.join(" and ")} ends an answer with ${status} and no error line`, async () => {
    assert.equal(await stopped(LONG, ...signals), { status, killed: null, stderr: "" });
  });
}

test("a second Ctrl-C does not wait", async () => {
  const { status, killed, stderr } = await stopped(LONG, "SIGINT", "SIGINT");
  // One that comes while the process is ending is the system's to answer, with the same status in a shell.
  assert.ok(status === 130 || killed === "SIGINT", `${status} ${killed}`);
  assert.is(stderr, "");
});

test("a reader that goes away ends it quietly", async () => {
  const child = spawn(process.execPath, [CLI, ...LONG]);
  let stderr = "";
  child.stderr.on("data", (chunk) => {
    stderr += chunk;
  });
  child.stdout.once("data", () => child.stdout.destroy());
  const status = await new Promise((resolve) => child.on("close", resolve));
  assert.equal([status, stderr], [0, ""]);
});

for (const args of [
  ["inspect", DEMO],
  ["run", DEMO, "Hi", "--max-tokens", "2"],
  ["run", DEMO, "Hi", "--max-tokens", "2", "--json"],
]) {
  test(`${args[0]} ${args.at(-1)} to a full disk ends with an error line`, () => {
    if (!existsSync("/dev/full")) return;
    const full = openSync("/dev/full", "w");
    const { status, stderr } = spawnSync(process.execPath, [CLI, ...args], {
      encoding: "utf8",
      stdio: ["ignore", full, "pipe"],
    });
    closeSync(full);
    assert.is(status, 1);
    assert.match(stderr, /^glimt: .*no space left.*\[ENOSPC\]/s);
    assert.not.match(stderr, /\n {4}at /);
  });
}

test("errors under --json are one JSON object on stdout, with a code", () => {
  for (const [args, code, message] of [
    [["run", "no/such/model", "Hi"], "CHECKPOINT_NOT_FOUND", /no\/such\/model/],
    [["run", DEMO, "Hi", "--max-tokens", "0"], "OPTION_INVALID", /^--max-tokens is 0/],
    [["process", DEMO, "Hi", "--pixels", join(folder, "no", "x")], "OPTION_INVALID", /--pixels/],
    [["run", DEMO, "Hi", "--seed", "one"], "OPTION_INVALID", /--seed/],
    [["inspect"], "OPTION_INVALID", /model/],
  ] as const) {
    const { status, stdout, stderr } = glimt(...args, "--json");
    assert.equal([status, stderr], [1, ""], args.join(" "));
    const { error, ...rest } = JSON.parse(stdout);
    assert.equal([Object.keys(rest), Object.keys(error), error.code], [[], ["code", "message"], code]);
    assert.match(error.message, message);
  }
  assert.match(glimt("run", "--help").stdout, /--json .*error:\s+\{\s+code,\s+message\s+\}/s);
});

test("a messages file may begin with a byte order mark; other encodings, folders and what is not there are said", async () => {
  const chat = JSON.stringify([{ role: "user", content: "Grüße 你好" }]);
  const file = (name: string, content: string | Uint8Array) => {
    writeFileSync(join(folder, name), content);
    return join(folder, name);
  };
  const read = glimt("process", DEMO, "--json", "--messages", file("bom.json", `\ufeff${chat}`));
  assert.match(JSON.parse(read.stdout).promptText, /Grüße 你好/);
  mkdirSync(join(folder, "chats"));
  const big = Buffer.from(chat, "utf16le").swap16();
  for (const [path, reason] of [
    [file("le.json", Buffer.from(`\ufeff${chat}`, "utf16le")), /le\.json.*it is UTF-16/],
    [file("be.json", Buffer.concat([Buffer.from([0xfe, 0xff]), big])), /be\.json.*it is UTF-16/],
    [file("plain-le.json", Buffer.from(chat, "utf16le")), /it is UTF-16/],
    [file("plain-be.json", big), /it is UTF-16/],
    [file("latin1.json", Buffer.from(chat, "latin1")), /it is no UTF-8/],
    [join(folder, "chats"), /chats.*it is a directory/],
    [join(folder, "missing.json"), /missing\.json can not be read: there is no such file/],
    [file("empty.json", ""), /empty\.json is not JSON/],
  ] as const) {
    const told = await complaint(processCommand(), [DEMO, "--messages", path]);
    assert.match(told, reason);
    assert.match(told, /\[INPUT_INVALID\]/);
  }
});

test.run();
