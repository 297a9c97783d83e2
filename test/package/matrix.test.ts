/** The README's table of runtimes is the one that `npm run check:package -- --matrix` writes. */
import { readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { ROWS, withTable } from "./consumers/matrix.ts";

test("the README shows the rows and versions that are checked", async () => {
  const readme = readFileSync("README.md", "utf8");
  assert.is(await withTable(readme), readme, "run npm run check:package -- --matrix");
});

test("no two checks have one name", () => {
  const names = ROWS.flatMap(({ checks }) => checks.map(({ name }) => name));
  assert.is(new Set(names).size, names.length);
});

test.run();
