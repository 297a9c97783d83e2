/** What serves the page of examples/web: how it is started, and what it answers without a page. */
import { spawnSync } from "node:child_process";
import { pathToFileURL } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";

const FILE = "examples/web/serve.mjs";

for (const port of ["abc", "", "65536", "-1", "80.5", "1e3"]) {
  test(`a port that is none is named before the page is built: "${port}"`, () => {
    const { status, stderr } = spawnSync(process.execPath, [FILE, `--port=${port}`], {
      encoding: "utf8",
      // One that took it would serve for ever.
      timeout: 20_000,
    });
    assert.is(status, 1);
    assert.is(stderr, `--port is "${port}", expected a whole number from 0 (one that is free) to 65535.\n`);
  });
}

test("addresses that can not be read are answered: 400", async () => {
  // Computed: what it imports finds its files by its own place.
  const { serveWeb } = await import(pathToFileURL(FILE).href);
  const { origin, close } = await serveWeb(0);
  try {
    for (const path of ["/%", "/%ff", "//"]) {
      const response = await fetch(`${origin}${path}`);
      assert.is(response.status, 400, path);
      assert.is(response.headers.get("x-content-type-options"), "nosniff");
    }
    assert.is((await fetch(`${origin}/nothing-of-this-name`)).status, 404);
    assert.is((await fetch(`${origin}/%00`)).status, 404);
  } finally {
    close();
  }
});

test.run();
