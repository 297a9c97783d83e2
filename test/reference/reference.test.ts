/** Whatever the package exports has a comment, to the last member, and all types that it names are exported too. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";

test("the reference is made without a warning", () => {
  mkdirSync("build", { recursive: true });
  const out = mkdtempSync("build/reference-");
  try {
    const { status, stdout, stderr } = spawnSync(process.execPath, ["test/reference/run.mjs", "--out", out], {
      encoding: "utf8",
      env: { ...process.env, FORCE_COLOR: "0", NO_COLOR: "1" },
    });
    assert.is(status, 0, `${stdout}${stderr}`);
    assert.ok(existsSync(join(out, "interfaces/index.LoadOptions.html")));
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
});

test.run();
