/** Scripts of examples/ that the demo checkpoint is enough for. */
import { spawnSync } from "node:child_process";
import { test } from "uvu";
import * as assert from "uvu/assert";

const DEMO = "examples/demo/checkpoint";
const PICTURE = "examples/demo/pictures/hello.png";

function run(script: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, [`examples/node/${script}`, ...args], {
    encoding: "utf8",
  });
  assert.is(status, 0, stderr);
  return stdout;
}

test("describe.mjs says what a picture says", () => {
  assert.is(run("describe.mjs", DEMO, PICTURE), "Hello world\n");
});

test("call-tool.mjs has a tool called, with arguments of its schema", () => {
  assert.match(
    run("call-tool.mjs", DEMO, PICTURE),
    /^save_line \{\s+text: '.*',\s+kind: '(words|numbers)',\s+row: [1-9]\d?\s+\}\n$/s,
  );
});

test.run();
