/** docs/vllm-map.md names files and functions: they must be there. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";

const rows = readFileSync(join(process.cwd(), "docs", "vllm-map.md"), "utf8")
  .split("\n")
  .map((line) => line.split("|").map((cell) => cell.trim()))
  .filter((cells) => cells.length === 6 && cells[3]?.endsWith(".ts"));

test("every row names files that exist, and functions that are in them", () => {
  assert.ok(rows.length > 50, `${rows.length} rows`);
  for (const [, vllm, ours, files] of rows) {
    const sources = (files as string)
      .split(", ")
      .map((file) => readFileSync(join(process.cwd(), "src", file), "utf8"))
      .join("\n");
    for (const [, name] of (ours as string).matchAll(/`(\w+)`/g)) {
      assert.match(sources, new RegExp(`\\b${name}\\b`), `${vllm}: ${name} is not in ${files}`);
    }
  }
});

test.run();
