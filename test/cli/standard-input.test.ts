/** Flags of "-": pictures, conversations and prompts that come by standard input. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { processCommand } from "../../src/cli/process.ts";
import { complaint } from "./command.ts";

const MODEL = "examples/demo/checkpoint";
const PICTURE = "examples/demo/pictures/hello.png";
const PROMPT = "Text Recognition:";

function glimt(input: string | Buffer, ...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, ["dist/cli.js", ...args], { input });
  return { status, stdout: String(stdout), stderr: String(stderr) };
}

const processed = (input: string | Buffer, ...args: string[]) => glimt(input, "process", MODEL, ...args);

test("a picture, a prompt or a conversation of standard input is as one of a file", () => {
  const expected = processed("", "--image", PICTURE, PROMPT).stdout;
  assert.match(expected, /image grid/);
  assert.is(processed(readFileSync(PICTURE), "--image", "-", PROMPT).stdout, expected);
  for (const text of [PROMPT, `${PROMPT}\n`, `\ufeff${PROMPT}\r\n`])
    assert.is(processed(text, "--image", PICTURE, "-").stdout, expected);
  const content = [
    { type: "image", image: PICTURE },
    { type: "text", text: PROMPT },
  ];
  assert.is(processed(JSON.stringify([{ role: "user", content }]), "--messages", "-").stdout, expected);
});

test("a model answers about a picture that is piped to it", () => {
  const { status, stdout, stderr } = glimt(
    readFileSync(PICTURE),
    ...["run", MODEL, "--image", "-", PROMPT, "--backend", "wasm"],
  );
  assert.is(status, 0, stderr);
  assert.is(stdout, "Hello world\n");
});

test("standard input that is read twice, empty, or no text is refused by the flag's name", async () => {
  const refused = (found: ReturnType<typeof glimt>, message: RegExp) => {
    assert.is(found.status, 1);
    assert.match(found.stderr, message);
  };
  const twice = (...flags: string[]) => complaint(processCommand(), [MODEL, ...flags]);
  assert.match(
    await twice("--image", "-", "--image", "-"),
    /--image and --image are all "-".*OPTION_INVALID/,
  );
  assert.match(await twice("--messages", "-", "--tools", "-"), /--messages and --tools are all "-"/);
  refused(processed("", "--image", "-"), /--image -: standard input is empty.*INPUT_INVALID/);
  refused(processed(Buffer.from([0xff, 0x80]), "-"), /The prompt - can not be read: it is no UTF-8/);
  refused(processed("{", "--messages", "-"), /--messages - is not JSON/);
});

test("a plan that does not fit ends with 1, and says what does not", () => {
  const plan = (...args: string[]) => glimt("", "plan", MODEL, ...args);
  assert.is(plan("--image", "224x28").status, 0);
  const long = plan("--text", "2000000");
  assert.is(long.status, 1);
  assert.match(long.stdout, /DOES NOT FIT/);
  const folder = mkdtempSync(join(tmpdir(), "glimt-plan-"));
  try {
    const hardware = JSON.parse(readFileSync("bench/parallel/h100-nvlink.json", "utf8"));
    const file = join(folder, "small.json");
    writeFileSync(file, JSON.stringify({ ...hardware, memoryBytes: 1e5 }));
    const small = plan("--image", "224x28", "--hardware", file);
    assert.is(small.status, 1);
    assert.match(small.stdout, /device 0 +needs .* and has .*DOES NOT FIT/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test.run();
