/** Lines of files, wherever their pieces end; texts and answers that are known. */
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { AnsweredLines, answerId, readAnswerId } from "../../src/batch/answered-lines.ts";
import { KnownTexts } from "../../src/batch/known-texts.ts";
import { readLines } from "../../src/batch/lines.node.ts";
import { fc } from "../property.ts";

const folder = mkdtempSync(join(tmpdir(), "glimt-lines-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

async function linesOf(content: string | Uint8Array, longest?: number) {
  const path = join(folder, "lines");
  writeFileSync(path, content);
  const file = await open(path);
  try {
    const lines: [number: number, text: string | null][] = [];
    for await (const { number, bytes, start, end } of readLines(file, undefined, longest)) {
      lines.push([number, bytes && Buffer.from(bytes).toString()]);
      assert.ok(end > start);
    }
    return lines;
  } finally {
    await file.close();
  }
}

test("blank lines count and are left out; ends of Windows stay; a byte order mark goes", async () => {
  assert.equal(await linesOf(""), []);
  assert.equal(await linesOf("\n \r\n\t\n"), []);
  assert.equal(await linesOf("a\n\nb\r\n  \nc"), [
    [1, "a"],
    [3, "b\r"],
    [5, "c"],
  ]);
  assert.equal(await linesOf("\ufeffa\n\ufeffb\n"), [
    [1, "a"],
    [2, "\ufeffb"],
  ]);
  assert.equal(await linesOf("\ufeff\n"), []);
});

test("lines over the borders of pieces", async () => {
  const long = "x".repeat(2 ** 20 - 1);
  assert.equal(await linesOf(`${long}\n${long}yz\nq`), [
    [1, long],
    [2, `${long}yz`],
    [3, "q"],
  ]);
});

test("a line that is too long is told of, and the next one read", async () => {
  assert.equal(await linesOf("abcdef\nabcde\n", 5), [
    [1, null],
    [2, "abcde"],
  ]);
});

test("any text has the lines that it has", async () => {
  const texts = fc.array(fc.string().map((text) => text.replaceAll("\n", "").replaceAll("\ufeff", "")));
  await fc.assert(
    fc.asyncProperty(texts, async (all) => {
      const expected = all.flatMap((text, i) => (/^[\t-\r ]*$/.test(text) ? [] : [[i + 1, text]]));
      const valid = expected.map(([number, text]) => [number, Buffer.from(text as string).toString()]);
      assert.equal(await linesOf(Buffer.from(all.join("\n"))), valid);
    }),
    { numRuns: 50 },
  );
});

test("texts are known by where they were first", () => {
  const known = new KnownTexts((text) => createHash("sha256").update(text).digest());
  for (let i = 1; i <= 5000; i++) assert.is(known.add(`text ${i}`, i), null);
  for (let i = 1; i <= 5000; i++) assert.is(known.add(`text ${i}`, 9999), i);
});

test("answered lines keep their keys", () => {
  const answered = new AnsweredLines(100_000);
  assert.ok(answered.add(70_000, 0));
  assert.ok(answered.add(1, 2 ** 48 - 1));
  assert.not(answered.add(1, 5));
  assert.not(answered.add(100_001, 5));
  assert.equal(
    [answered.key(70_000), answered.key(1), answered.key(2), answered.key(10 ** 9), answered.count],
    [0, 2 ** 48 - 1, null, null, 2],
  );
});

test("an answer's id says its line", () => {
  for (const [number, key] of [
    [1, 0],
    [123_456_789, 2 ** 48 - 1],
  ] as const) {
    assert.equal(readAnswerId(answerId(number, key)), { number, key });
  }
  for (const other of ["batch_req_0_000000000000", "batch_req_1_00", "chatcmpl-1", null, 3]) {
    assert.is(readAnswerId(other), null);
  }
});

test.run();
