/** `glimt run` over several devices. */
import { spawnSync } from "node:child_process";
import { test } from "uvu";
import * as assert from "uvu/assert";

function glimt(...args: string[]) {
  const asked = ["dist/cli.js", "run", "examples/demo/checkpoint", "Text Recognition:", "--image"];
  const picture = "examples/demo/pictures/hello.png";
  return spawnSync(process.execPath, [...asked, picture, "--max-tokens", "40", ...args], {
    encoding: "utf8",
  });
}

for (const backend of ["reference", "wasm"]) {
  test(`${backend}: the same answer on one device and on four`, () => {
    const alone = glimt("--backend", backend, "--json");
    const flags = ["--devices", "0,1,2,3", "--tensor-parallel", "2", "--pipeline-parallel", "2"];
    const shared = glimt("--backend", backend, "--json", ...flags, "--encoder-parallel", "data");
    assert.is(shared.status, 0, shared.stderr);
    const [expected, found] = [alone, shared].map(({ stdout }) => JSON.parse(stdout));
    assert.is(found.text, expected.text);
    assert.match(found.engine.description, /^4 devices \(tensor 2, pipeline 2\): /);
  });
}

for (const [args, message] of [
  [["--devices", "0,x"], /--devices.*It must be numbers, such as 0,1/],
  [["--tensor-parallel", "0"], /--tensor-parallel is 0, expected a whole number from 1/],
  [["--pipeline-cuts", "1"], /--pipeline-cuts is \[1\], expected/],
  [["--devices", "0,1,2", "--pipeline-parallel", "2"], /3 devices can not be 2 stages/],
  [["--backend", "cuda", "--device", "1", "--devices", "0,1"], /--device is one of several in --devices/],
  [["--backend", "reference", "--tensor-parallel", "3"], /not a multiple of 3/],
] as const) {
  test(`refused: ${args.join(" ")}`, () => {
    const { status, stderr } = glimt(...args);
    assert.is.not(status, 0);
    assert.match(stderr, message);
  });
}

test.run();
