/** Which files `glimt ocr` reads of what it is given, what their outputs are called, and its journal of them. */
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { documentFiles } from "../../src/cli/ocr/document-files.ts";
import { Journal } from "../../src/cli/ocr/journal.ts";
import { writeDocument } from "../../src/cli/ocr/outputs.ts";
import { type DocumentPage, documentResult } from "../../src/ocr.ts";

const folder = mkdtempSync(join(tmpdir(), "glimt-ocr-files-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

function scans(name: string, files: readonly string[]): string {
  const given = join(folder, name);
  mkdirSync(given);
  for (const file of files) writeFileSync(join(given, file), "");
  return given;
}

const namesOf = async (...given: string[]) =>
  (await documentFiles(given, join(folder, "out"))).map(({ name }) => name);

test("documents whose outputs would be one file have outputs of their own", async () => {
  const given = scans("alike", ["a:b.png", "a_b.png", "a?b.pdf", "c.pdf"]);
  assert.equal(await namesOf(given), ["a_b.png", "a_b.pdf", "a_b.png-2", "c"]);
});

test("names that leave no room for an extension are cut off, and stay apart", async () => {
  const long = (end: string) => `${"文".repeat(80)}${end}`;
  const names = await namesOf(scans("long", [long("一.pdf"), long("二.pdf"), `${"文".repeat(66)}.pdf`]));
  assert.is(new Set(names).size, 3);
  for (const name of names) assert.ok(Buffer.byteLength(name) <= 200, name);
  assert.is(names[0], "文".repeat(66));
  assert.match(names[1]!, /^文{63}~[\da-f]{8}$/);
});

test("an address can not name a place outside of the output folder", async () => {
  const addresses = [
    "https://example.org/a%2F..",
    "https://example.org/..%5C..%5Cx.png",
    "https://example.org/",
  ];
  assert.equal(await namesOf(...addresses), ["document", ".._.._x", "document-2"]);
});

test("links to files are read, those to folders are not followed, those that lead nowhere are named", async () => {
  const given = scans("links", ["page.png"]);
  symlinkSync(join(given, "page.png"), join(given, "link.png"));
  symlinkSync("nowhere.png", join(given, "lost.png"));
  mkdirSync(join(given, "below"));
  symlinkSync("..", join(given, "below/circle"));
  symlinkSync("..", join(given, "folder.png"));
  assert.equal(await namesOf(given), ["link", "lost", "page"]);
});

test("what can not be read is told why: links that lead nowhere, or in circles", async () => {
  const given = scans("lost", []);
  symlinkSync("nowhere.png", join(given, "dangling.png"));
  symlinkSync("circle.png", join(given, "circle.png"));
  const reasonOf = (name: string) => namesOf(join(given, name)).catch(({ message }) => message);
  assert.match(
    await reasonOf("dangling.png"),
    /dangling\.png can not be read: it is a link to nowhere\.png, which is not/,
  );
  assert.match(
    await reasonOf("circle.png"),
    /circle\.png can not be read: ELOOP: links in its path go round in circles/,
  );
  assert.match(await reasonOf("gone.png"), /gone\.png can not be read: there is no such file/);
});

test("a file whose name looks like an address is a file", async () => {
  const given = scans("addresses", ["http:x.png"]);
  const before = process.cwd();
  process.chdir(given);
  try {
    assert.equal(await documentFiles(["."], "out"), [{ source: "./http:x.png", name: "http_x" }]);
  } finally {
    process.chdir(before);
  }
});

const page = (number: number): DocumentPage => ({
  number,
  width: 1,
  height: 1,
  markdown: "text",
  regions: [],
  images: [],
  warnings: [],
  usage: { promptTokens: 1, completionTokens: 1 },
  error: null,
});
const head = { source: "a", asked: "b" };

test("a journal of other questions stays until pages are added", async () => {
  const path = join(folder, "kept.jsonl");
  const first = await Journal.open(path, head);
  await first.begin();
  await first.add(page(1));
  await first.close();
  const before = readFileSync(path, "utf8");
  const other = await Journal.open(path, { ...head, asked: "c" });
  assert.ok(other.isRenewed);
  await other.close();
  assert.is(readFileSync(path, "utf8"), before);
  const changed = await Journal.open(path, { ...head, asked: "c" });
  await changed.begin();
  await changed.close();
  assert.is((await Journal.open(path, { ...head, asked: "c" })).pages.size, 0);
});

test("lines of a journal that are no pages are none", async () => {
  const path = join(folder, "broken.jsonl");
  const first = await Journal.open(path, head);
  await first.begin();
  await first.add(page(1));
  await first.close();
  appendFileSync(path, 'null\n{}\n\0\0\n{"number":2');
  const again = await Journal.open(path, head);
  assert.equal([...again.pages.keys()], [1]);
  await again.begin();
  await again.add(page(3));
  await again.close();
  assert.equal([...(await Journal.open(path, head)).pages.keys()], [1, 3]);
});

test("a journal is one command's at a time", async () => {
  const path = join(folder, "shared.jsonl");
  const first = await Journal.open(path, head);
  let message = "";
  await Journal.open(path, head).catch((error) => {
    message = error.message;
  });
  assert.match(message, /is being written by another process: wait for it/);
  await first.close();
  await (await Journal.open(path, head)).close();
});

test("of a file that can not be written nothing is left", async () => {
  const base = join(folder, "whole");
  mkdirSync(`${base}.md`);
  let code = "";
  await writeDocument(base, documentResult([page(1)]), "both").catch((error) => {
    code = error.code;
  });
  assert.is(code, "OUTPUT_FAILED");
  assert.not.ok(existsSync(`${base}.md.partial`));
});

test.run();
