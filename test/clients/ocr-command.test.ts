/** `glimt ocr`: files that it writes, what it goes on behind, and what it says of documents that it can not read. */
import { spawn, spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { decodeImage } from "../../src/media/decode-image.ts";
import { picturePdf } from "../documents/pdf-files.ts";

const CLI = resolve("dist/cli.js");
const DEMO = resolve("examples/demo/checkpoint");
const PICTURES = resolve("examples/demo/pictures");
const folder = mkdtempSync(join(tmpdir(), "glimt-ocr-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
let number = 0;
const newOut = () => join(folder, `out-${++number}`);

/** Where the clients are installed, as a project is. */
const cwd = resolve("test/clients");
const args = (...rest: string[]) => [CLI, "ocr", DEMO, ...rest, "--backend", "wasm", "--threads", "1"];
function ocr(...rest: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, args(...rest), { cwd, encoding: "utf8" });
  return { status, stdout, stderr };
}
const text = (...path: string[]) => readFileSync(join(...path), "utf8");

async function pdfOf(pages: number): Promise<Uint8Array> {
  const names = ["hello", "lines", "numbers", "receipt"];
  const pictures = await Promise.all(
    names.map((name) => decodeImage(readFileSync(join(PICTURES, `${name}.png`)))),
  );
  return picturePdf(Array.from({ length: pages }, (_, index) => pictures[index % 4]!));
}

test("a folder with folders in it: Markdown and JSON of each document, failures by name", async () => {
  const given = join(folder, "scans");
  mkdirSync(join(given, "sub"), { recursive: true });
  mkdirSync(join(given, ".hidden"));
  writeFileSync(join(given, "two.pdf"), await pdfOf(2));
  writeFileSync(join(given, "broken.pdf"), "%PDF-1.7\nnothing");
  writeFileSync(join(given, "notes.txt"), "not read");
  cpSync(join(PICTURES, "hello.png"), join(given, "sub/he llo.png"));
  cpSync(join(PICTURES, "hello.png"), join(given, ".hidden/hello.png"));
  cpSync(join(PICTURES, "numbers.png"), join(given, "two.png"));
  // Within what is read: it is not read itself.
  const out = join(given, "out");
  const { status, stdout, stderr } = ocr(given, "--out", out, "--dpi", "72", "--json");
  assert.is(status, 1, stderr);
  const { documents } = JSON.parse(stdout);
  assert.equal(
    documents.map((document: { source: string; pages: number }) => [
      document.source.slice(given.length + 1),
      document.pages,
    ]),
    [
      ["broken.pdf", 0],
      ["sub/he llo.png", 1],
      ["two.pdf", 2],
      ["two.png", 1],
    ],
  );
  assert.is(documents[0].failed[0].code, "INPUT_INVALID");
  assert.is(text(out, "sub/he llo.md"), "Hello world\n");
  assert.is(text(out, "two.pdf.md"), "Hello world\n\n---\n\nThe quick\nbrown fox\njumps over\n");
  assert.is(JSON.parse(text(out, "two.png.json"))[0][0].content, "#48213 17:05\n92% 7304");
  const again = ocr(given, "--out", out, "--dpi", "72");
  assert.is(again.status, 1);
  assert.match(again.stderr, /two\.pdf: 2 of 2 pages were read before/);
  assert.match(again.stderr, /broken\.pdf: PDF .* is no PDF that can be read/);
});

test("formats and pages", async () => {
  const file = join(folder, "four.pdf");
  writeFileSync(file, await pdfOf(4));
  const out = newOut();
  const some = ocr(file, "--out", out, "--dpi", "72", "--pages", "1,3", "--format", "md");
  assert.is(some.status, 0, some.stderr);
  assert.is(some.stdout, `${join(out, "four.md")}\n`);
  assert.is(text(out, "four.md"), "Hello world\n\n---\n\n#48213 17:05\n92% 7304\n");
  const all = ocr(file, "--out", out, "--dpi", "72", "--format", "json");
  assert.match(all.stderr, /2 of 4 pages were read before/);
  assert.is(JSON.parse(text(out, "four.json")).length, 4);
});

test("40 pages, killed again and again: each run goes on behind the one before, and all is as if undisturbed", async () => {
  const file = join(folder, "forty.pdf");
  writeFileSync(file, await pdfOf(40));
  const whole = newOut();
  assert.is(ocr(file, "--out", whole, "--dpi", "72").status, 0);
  const out = newOut();
  const journal = join(out, ".glimt-ocr/forty.jsonl");
  const pagesRead = () => (existsSync(journal) ? text(journal).split("\n").length - 2 : 0);
  let before = 0;
  for (const least of [5, 15, 25]) {
    await killedBehind(args(file, "--out", out, "--dpi", "72"), () => pagesRead() >= least);
    assert.ok(pagesRead() >= Math.max(before, least));
    before = pagesRead();
    assert.not.ok(existsSync(join(out, "forty.md")));
  }
  // A line that was being written.
  truncateSync(journal, readFileSync(journal).length - 7);
  const { status, stdout, stderr } = ocr(file, "--out", out, "--dpi", "72", "--json");
  assert.is(status, 0, stderr);
  const [document] = JSON.parse(stdout).documents;
  assert.equal([document.pages, document.resumed >= before - 1], [40, true]);
  assert.is(text(out, "forty.md"), text(whole, "forty.md"));
  assert.is(text(out, "forty.json"), text(whole, "forty.json"));
});

/** SIGKILL as soon as it holds. */
function killedBehind(args: string[], holds: () => boolean): Promise<void> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, args, { cwd, stdio: "ignore" });
    const timer = setInterval(() => holds() && child.kill("SIGKILL"), 5);
    child.on("close", () => {
      clearInterval(timer);
      resolve();
    });
  });
}

test("Ctrl-C ends with 130, and what was read stays", async () => {
  const file = join(folder, "stopped.pdf");
  writeFileSync(file, await pdfOf(40));
  const out = newOut();
  const journal = join(out, ".glimt-ocr/stopped.jsonl");
  const child = spawn(process.execPath, args(file, "--out", out, "--dpi", "72"), { cwd });
  let stderr = "";
  child.stderr.on("data", (chunk) => {
    stderr += chunk;
  });
  const timer = setInterval(() => {
    if (existsSync(journal) && text(journal).split("\n").length > 3) child.kill("SIGINT");
  }, 5);
  const status = await new Promise((resolve) => child.on("close", resolve));
  clearInterval(timer);
  assert.equal([status, stderr], [130, ""]);
  assert.ok(text(journal).split("\n").length > 3);
});

test("a document that changed, or other questions, are read anew", () => {
  const file = join(folder, "page.png");
  cpSync(join(PICTURES, "hello.png"), file);
  const out = newOut();
  ocr(file, "--out", out);
  cpSync(join(PICTURES, "numbers.png"), file);
  const changed = ocr(file, "--out", out);
  assert.match(changed.stderr, /page\.png: it changed, or is asked for otherwise; it is read anew/);
  assert.is(text(out, "page.md"), "#48213 17:05\n92% 7304\n");
  const task = ocr(file, "--out", out, "--task", "formula");
  assert.match(task.stderr, /read anew/);
  assert.match(text(out, "page.md"), /^\$\$\n/);
});

test("a command that can not read loses nothing of what was read", () => {
  const out = newOut();
  const hello = join(PICTURES, "hello.png");
  assert.is(ocr(hello, "--out", out).status, 0);
  const wrong = [CLI, "ocr", join(folder, "no-model"), hello, "--out", out];
  assert.is(spawnSync(process.execPath, wrong, { cwd }).status, 1);
  assert.match(ocr(hello, "--out", out).stderr, /1 of 1 pages were read before/);
});

test("what is said of a document names flags", () => {
  const { status, stderr } = ocr(
    join(PICTURES, "hello.png"),
    "--out",
    newOut(),
    "--max-decoded-pixels",
    "10",
  );
  assert.is(status, 1);
  assert.match(stderr, /the limit is 10\..*raise the option --max-decoded-pixels/);
});

test("an answer that is cut off is told of", () => {
  const out = newOut();
  const { status, stderr } = ocr(join(PICTURES, "hello.png"), "--out", out, "--max-tokens", "3");
  assert.is(status, 0);
  assert.match(stderr, /hello\.png, page 1: The page was read up to 3 tokens.*the rest is missing/);
});

const OUT = join(folder, "never");
for (const [given, message] of [
  [[join(folder, "nowhere"), "--out", OUT], /nowhere can not be read: there is no such file or folder/],
  [[cwd, "--out", OUT], /There is no PDF and no picture in/],
  [[PICTURES, "--out", OUT, "--pages", "x"], /--pages is "x", expected such as 1-3,7/],
  [[PICTURES, "--out", OUT, "--task", "table", "--prompt", "a"], /leave out task and layout/],
  [[PICTURES, "--out", OUT, "--layout-threshold", "0.5"], /add --layout/],
  [[PICTURES, "--out", OUT, "--layout", join(folder, "no.onnx")], /Layout model .*no\.onnx can not be read/],
  [[PICTURES, "--out", OUT, "--concurrency", "0"], /--concurrency is 0/],
  [[PICTURES, "--out", OUT, "--max-tokens", "0"], /--max-tokens is 0/],
  [[PICTURES, "--out", OUT, "--repetition-penalty", "-1"], /--repetition-penalty is -1/],
  [[PICTURES, "--out", OUT, "--speculation", "x"], /--speculation is "x", expected "auto"/],
] as const) {
  test(`ocr ${given.slice(1).join(" ").replaceAll(folder, "")}`, () => {
    const { status, stderr } = ocr(...given);
    assert.is(status, 1);
    assert.match(stderr, message);
    assert.not.ok(existsSync(OUT));
  });
}

test("a checkpoint that is not there ends all", () => {
  const out = newOut();
  const { status, stderr } = spawnSync(
    process.execPath,
    [CLI, "ocr", join(folder, "no-model"), PICTURES, "--out", out],
    { cwd, encoding: "utf8" },
  );
  assert.is(status, 1);
  assert.match(stderr, /^glimt: .*no-model/m);
});

test.run();
