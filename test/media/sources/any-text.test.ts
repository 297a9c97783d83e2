/** Any text as a source: it is read, or refused with a code; rules hold however a path or an address is spelt. */
import { cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync, statSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { GlimtError } from "../../../src/errors.ts";
import { readLocalFile } from "../../../src/media/files.node.ts";
import { readSource } from "../../../src/media/source.ts";
import type { Reading } from "../../../src/media/sources/reading.ts";
import { sourceRule } from "../../../src/media/sources/source-rule.ts";
import { fc } from "../../property.ts";
import { failure } from "./failure.ts";

const pieces = fc.constantFrom(
  ..."http: https: data: file: blob: ftp: // / \\ ? # @ : bob:s3cret@ localhost 127.0.0.1 [::1] a.png .. ".split(
    " ",
  ),
  ...["%00", "%2e%2e", "\0", "\n", "\u2028", "\ud800", " ", ";base64,", ",", "aGk=", "é", "A".repeat(200)],
);
const text = fc.oneof(
  fc.string({ unit: "binary", maxLength: 40 }),
  fc.array(fc.oneof(pieces, fc.string({ maxLength: 3 })), { maxLength: 8 }).map((parts) => parts.join("")),
);

test("any text: inline only, nothing is read from elsewhere, and errors are short lines without passwords", async () => {
  const own = globalThis.fetch;
  let asked = "";
  globalThis.fetch = async (address) => {
    asked = String(address);
    throw new Error("asked");
  };
  const options = {
    sources: sourceRule("inline"),
    readFile: (path: string | URL, reading: Reading) => readLocalFile(path, reading),
  };
  try {
    await fc.assert(
      fc.asyncProperty(text, fc.boolean(), async (source, hasFiles) => {
        try {
          await readSource(source, hasFiles ? options : { sources: options.sources });
          assert.match(source, /^\s*data:/i);
        } catch (error) {
          assert.ok(error instanceof GlimtError, String(error));
          assert.match(error.code, /^(SOURCE_REFUSED|IMAGE_INVALID)$/, error.message);
          assert.ok(error.message.length < 400, error.message);
          assert.not.match(error.message, /[\0\n\u2028]/);
          if (/^\s*https?:/.test(source)) assert.not.match(error.message, /s3cret@/);
        }
        assert.is(asked, "");
      }),
      { numRuns: 1000 },
    );
  } finally {
    globalThis.fetch = own;
  }
});

const root = realpathSync(mkdtempSync(join(tmpdir(), "glimt-any-text-")));
process.on("exit", () => rmSync(root, { recursive: true, force: true }));
const names = ["data", "data/in", "data/in/deep", "out", "database"];
for (const name of names) {
  mkdirSync(join(root, name));
  cpSync(`${process.cwd()}/test/golden/data/media/rgb.png`, join(root, name, "a.png"));
}
const links: [string, string][] = [
  ["data/to-out", "../out"],
  ["data/to-root", ".."],
  ["data/to-in", "in/deep"],
  ["data/in/up", ".."],
  ["data/in/a-out.png", join(root, "out/a.png")],
  ["data/twice", "to-in"],
  ["data/round", "in/up/round"],
  ["out/back", "../data"],
];
for (const [from, to] of links) symlinkSync(to, join(root, from));

test("any path: what is read lies in the folder, and what lies there is read", async () => {
  const sources = sourceRule({ folders: [join(root, "data")] });
  const name = fc.constantFrom(
    ..."data in deep out database a.png a-out.png to-out to-root to-in up twice round back .. . gone".split(
      " ",
    ),
    "",
  );
  let isRead = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(name, { maxLength: 5 }), fc.constantFrom("", "/a.png"), async (parts, end) => {
      const path = [root, "data", ...parts].join("/") + end;
      const code = await readSource(path, { readFile: readLocalFile, sources }).then(
        () => "read",
        (error: GlimtError) => error.code,
      );
      if (code === "read") isRead += 1;
      const leavesOnTheWay = /back/.test(path);
      if (code !== "read" && leavesOnTheWay) return;
      assert.is(code === "read", isFileIn(resolve(path), join(root, "data")), `${path}: ${code}`);
    }),
    { numRuns: 1000 },
  );
  assert.ok(isRead > 100, `${isRead}`);
});

function isFileIn(path: string, folder: string): boolean {
  try {
    const real = realpathSync(path);
    return real.startsWith(`${folder}/`) && statSync(real).isFile();
  } catch {
    return false;
  }
}

test("texts of a million slashes, spaces or colons are refused at once", async () => {
  for (const start of ["ftp:", "ftp://", "//", "http:", "http://u:", ""]) {
    for (const letter of ["/", "\\", " ", ":", "@"]) {
      const began = performance.now();
      const error = await failure(readSource(start + letter.repeat(1e6), { sources: sourceRule("inline") }));
      assert.ok(["IMAGE_INVALID", "SOURCE_REFUSED"].includes(error.code), error.code);
      assert.ok(error.message.length < 400, error.message);
      assert.ok(performance.now() - began < 20_000, `${start}${letter}: ${performance.now() - began} ms`);
    }
  }
});

test("a password of a hundred thousand letters", async () => {
  const address = `http://bob:${"p".repeat(2e5)}@127.0.0.1/a.png`;
  const { code } = await failure(readSource(address, { sources: sourceRule("inline") }));
  assert.is(code, "SOURCE_REFUSED");
});

test.run();
