/** docs/errors.md explains every code there is, and no other. */
import { readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { ERROR_CODES } from "../../src/errors.ts";

test("every error code has its row", () => {
  const rows = readFileSync("docs/errors.md", "utf8")
    .split("\n")
    .filter((line) => line.startsWith("| `"));
  const told = rows.flatMap((row) => [...(row.split("|")[1] ?? "").matchAll(/`([A-Z_]+)`/g)]);
  assert.equal(told.map(([, code]) => code).sort(), [...ERROR_CODES].sort());
});

test.run();
