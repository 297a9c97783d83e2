/** Scripts of examples/ that the demo checkpoint is enough for. */
import { spawn, spawnSync } from "node:child_process";
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";

const DEMO = "examples/demo/checkpoint";
const PICTURE = "examples/demo/pictures/hello.png";

function run(script: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, [`examples/node/${script}`, ...args], {
    encoding: "utf8",
  });
  assert.is(status, 0, stderr);
  return stdout;
}

test("describe.mjs says what a picture says", () => {
  assert.is(run("describe.mjs", DEMO, PICTURE), "Hello world\n");
});

test("ocr-folder.mjs writes the Markdown of a folder's documents", () => {
  const folder = mkdtempSync(join(tmpdir(), "glimt-example-ocr-"));
  const out = join(folder, "read");
  try {
    for (const name of ["hello.png", "numbers.png"])
      copyFileSync(`examples/demo/pictures/${name}`, join(folder, name));
    assert.is(run("ocr-folder.mjs", DEMO, folder, out), "hello.png: 1 page\nnumbers.png: 1 page\n");
    assert.is(readFileSync(join(out, "numbers.png.md"), "utf8"), "#48213 17:05\n92% 7304");
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("transcribe.mjs reads the pictures of a folder", () => {
  const folder = mkdtempSync(join(tmpdir(), "glimt-example-transcribe-"));
  try {
    copyFileSync(PICTURE, join(folder, "hello.png"));
    assert.is(run("transcribe.mjs", DEMO, folder), '{"file":"hello.png","text":"Hello world"}\n');
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("video.mjs answers about a folder of frames", () => {
  const folder = mkdtempSync(join(tmpdir(), "glimt-example-video-"));
  try {
    for (const name of ["0.png", "1.png"]) copyFileSync(PICTURE, join(folder, name));
    // The demo checkpoint has learnt nothing of videos: it says something.
    assert.ok(run("video.mjs", DEMO, folder, "Text Recognition:").endsWith("\n"));
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("batch.mjs reads a folder of pictures, and has it read already when it is run again", () => {
  const folder = mkdtempSync(join(tmpdir(), "glimt-example-batch-"));
  try {
    for (const name of ["hello.png", "numbers.png"])
      copyFileSync(`examples/demo/pictures/${name}`, join(folder, name));
    const expected = 'hello.png: "Hello world"\nnumbers.png: "#48213 17:05\\n92% 7304"\n';
    assert.is(run("batch.mjs", DEMO, folder), expected);
    assert.is(run("batch.mjs", DEMO, folder), expected);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("call-tool.mjs has a tool called, with arguments of its schema", () => {
  assert.match(
    run("call-tool.mjs", DEMO, PICTURE),
    /^save_line \{\s+text: '.*',\s+kind: '(words|numbers)',\s+row: [1-9]\d?\s+\}\n$/s,
  );
});

test("server.mjs answers, and ends when it is told to", async () => {
  const child = spawn(process.execPath, ["examples/node/server.mjs", DEMO]);
  const ended = new Promise((resolve) => child.on("close", resolve));
  const url = await new Promise<string>((resolve) =>
    child.stdout.once("data", (line) => resolve(`${line}`.trim())),
  );
  assert.is((await fetch(new URL("/", url))).status, 200);
  const { data } = (await (await fetch(`${url}/models`)).json()) as { data: { id: string }[] };
  assert.is(data[0]?.id, "reader");
  child.kill("SIGTERM");
  assert.is(await ended, 0);
});

test.run();
