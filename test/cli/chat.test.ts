/** `glimt chat` with piped lines, and on a terminal where Python has one. */
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { endlessDemo } from "./command.ts";
import { onTerminal, PYTHON } from "./terminal.ts";

const DEMO = "examples/demo/checkpoint";
const PICTURE = "examples/demo/pictures/hello.png";
const PROMPT = "Text Recognition:";
const folder = mkdtempSync(join(tmpdir(), "glimt-chat-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

/** No token that it says ends it. */
const ENDLESS = endlessDemo(folder);

const chatOf = (model: string, ...flags: string[]) => [
  ...[process.execPath, "dist/cli.js", "chat", model, "--backend", "wasm", "--max-tokens", "24"],
  ...flags,
];

function piped(lines: readonly string[], ...flags: string[]) {
  const [command = "", ...args] = chatOf(DEMO, ...flags);
  const { status, stdout, stderr } = spawnSync(command, args, { input: lines.join("\n"), encoding: "utf8" });
  return { status, stdout, stderr };
}

test("piped lines are questions, and only answers go to stdout", () => {
  const { status, stdout, stderr } = piped([`/image ${PICTURE}`, PROMPT, "/stats"]);
  assert.is(status, 0, stderr);
  assert.is(stdout, "Hello world\n");
  assert.match(stderr, /hello\.png goes with the next question: 8 tokens/);
  assert.match(stderr, /question: \d+ tokens, 8 of pictures; 0 were there from before\nanswer: \d+ tokens/);
});

test("a saved chat goes on where it ended, and a question that was not answered is answered first", () => {
  const file = join(folder, "asked.json");
  const content = [
    { type: "image", image: resolve(PICTURE) },
    { type: "text", text: PROMPT },
  ];
  writeFileSync(file, JSON.stringify([{ role: "user", content }]));
  const { status, stdout, stderr } = piped([`/save ${file}`], "--messages", file);
  assert.is(status, 0, stderr);
  assert.is(stdout, "Hello world\n");
  assert.equal(JSON.parse(readFileSync(file, "utf8"))[1], { role: "assistant", content: "Hello world" });
});

test("a picture and a question may come with the command", () => {
  const { stdout, stderr } = piped([], PROMPT, "--image", PICTURE);
  assert.is(stdout, "Hello world\n", stderr);
});

test("piped lines end with the first error", () => {
  const { status, stdout, stderr } = piped(["/foo", PROMPT]);
  assert.is(status, 1);
  assert.match(stderr, /There is no command \/foo.*INPUT_INVALID/);
  assert.is(stdout, "");
});

test("what is wrong with a flag is told by its name", () => {
  assert.match(piped([PROMPT], "--top-p", "4").stderr, /--top-p is 4, expected above 0.*OPTION_INVALID/);
  assert.match(piped([PROMPT], "--messages", "-").stderr, /The chat and --messages are all "-"/);
});

test("a signal ends a piped chat with 130 and no error line", async () => {
  const [command = "", ...args] = chatOf(ENDLESS, "--max-tokens", "4000");
  const child = spawn(command, args);
  let stderr = "";
  child.stderr.on("data", (chunk) => {
    stderr += chunk;
  });
  child.stdin.write("Hello?\n");
  child.stdout.once("data", () => child.kill("SIGINT"));
  const status = await new Promise((ended) => child.once("close", ended));
  assert.is(status, 130);
  assert.is(stderr, "");
});

if (PYTHON === undefined) console.log("left out: the chat on a terminal, as there is no Python");
else {
  test("on a terminal: an answer, an error that ends nothing, the end", () => {
    const { shown, status } = onTerminal(chatOf(DEMO), [
      ["> ", `/image ${PICTURE}\r`],
      ["8 tokens", `${PROMPT}\r`],
      ["Hello world", ""],
      ["> ", "/foo\r"],
      ["no command /foo", ""],
      ["> ", "/exit\r"],
    ]);
    assert.is(status, 0, shown);
  });

  test("on a terminal: Ctrl-C ends the answer, and twice the chat", () => {
    const save = join(folder, "stopped.json");
    const { shown, status } = onTerminal(chatOf(ENDLESS, "--max-tokens", "3900"), [
      ["> ", "Hello?\r"],
      ["\r\n", ""],
      ["o", "\u0003"],
      ["> ", `/save ${save}\r`],
      ["The chat is in", "forget this\u0003"],
      ["forget this", "\u0003"],
      ["once more", "\u0003"],
    ]);
    assert.is(status, 0, shown);
    const [, answer] = JSON.parse(readFileSync(save, "utf8"));
    assert.is(answer.role, "assistant");
    assert.ok(answer.content.length > 0);
  });

  test("on a terminal: what is pasted is one question", () => {
    const save = join(folder, "pasted.json");
    onTerminal(chatOf(DEMO), [
      ["> ", "one\rtwo\rthree"],
      ["three", " four\r"],
      ["> ", `/save ${save}\r`],
      ["The chat is in", "/exit\r"],
    ]);
    const [{ content }] = JSON.parse(readFileSync(save, "utf8"));
    assert.equal(content, [{ type: "text", text: "one\ntwo\nthree four" }]);
  });
}

test.run();
