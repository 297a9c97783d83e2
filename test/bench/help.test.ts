/** `--help` tells what there is, and runs nothing. */
import { spawnSync } from "node:child_process";
import { test } from "uvu";
import * as assert from "uvu/assert";

const help = (...args: string[]) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, ["bench/run.mjs", ...args], {
    encoding: "utf8",
  });
  assert.equal([status, stderr], [0, ""]);
  return stdout;
};

test("of all benchmarks, those that take minutes too", () => {
  const text = help("--help");
  assert.match(text, "bench/linear.bench.ts\n  ");
  assert.match(text, "bench/together.long.bench.ts\n  Requests that share steps");
  assert.not.match(text, "undefined");
});

test("of some, whatever else is asked", () => {
  const text = help("together", "--requests", "4", "-h");
  assert.match(text, "bench/together.long.bench.ts\n");
  assert.not.match(text, "bench/linear");
});

test.run();
