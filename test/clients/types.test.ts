/** The tests of this folder against the clients' own types, which the type check of all others does without. */
import { spawnSync } from "node:child_process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { docExamples, typeErrors } from "../package/doc-examples.ts";

test("tests of clients, and glimt's types as these take them", () => {
  const { status, stdout } = spawnSync(
    process.execPath,
    ["node_modules/typescript/bin/tsc", "-p", "test/clients/tsconfig.json"],
    { encoding: "utf8" },
  );
  assert.is(status, 0, stdout);
});

test("the TypeScript of docs/ that uses packages of others is right by theirs and ours", () => {
  const theirs = docExamples().filter(({ packages }) => packages.length > 0);
  assert.ok(theirs.length > 0);
  assert.is(typeErrors(theirs, "test/clients/node_modules"), "");
});

test.run();
