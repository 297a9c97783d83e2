/** `glimt run` over several devices. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { runCommand } from "../../src/cli/run.ts";
import { complaint, json } from "./command.ts";

const ASKED = [
  "examples/demo/checkpoint",
  "Text Recognition:",
  "--image",
  "examples/demo/pictures/hello.png",
];

function answer(...args: string[]) {
  return json("run", ...ASKED, "--max-tokens", "40", "--json", ...args);
}

const ALONE = "Hello world";

for (const backend of ["reference", "wasm"]) {
  test(`${backend}: the same answer on one device and on four`, () => {
    assert.is(answer("--backend", backend).text, ALONE);
    const flags = ["--devices", "0,1,2,3", "--tensor-parallel", "2", "--pipeline-parallel", "2"];
    const found = answer("--backend", backend, ...flags, "--encoder-parallel", "data");
    assert.is(found.text, ALONE);
    assert.match(found.engine.description, /^4 devices \(tensor 2, pipeline 2\): /);
  });
}

test("the tower on a device of its own", () => {
  const flags = ["--devices", "0,1,2", "--tensor-parallel", "2", "--encoder-parallel", "stage"];
  const { text, engine } = answer("--backend", "wasm", ...flags);
  assert.match(engine.description, /^3 devices \(tensor 2, pipeline 1, 1 for the encoder\): /);
  assert.is(text, ALONE);
});

for (const [args, message] of [
  [["--devices", "0,x"], /--devices.*It must be numbers, such as 0,1/],
  [["--devices", "0,1", "--tensor-parallel", "2", "--encoder-parallel", "stage"], /with 1 for the encoder 3/],
  [["--encoder-parallel", "both"], /Allowed choices are tensor, data, stage/],
  [["--tensor-parallel", "0"], /--tensor-parallel is 0, expected a whole number from 1/],
  [["--pipeline-cuts", "1"], /--pipeline-cuts is \[1\], expected/],
  [["--devices", "0,1,2", "--pipeline-parallel", "2"], /3 devices can not be 2 stages/],
  [["--backend", "cuda", "--device", "1", "--devices", "0,1"], /--device is one of several in --devices/],
  [["--backend", "reference", "--tensor-parallel", "3"], /not a multiple of 3/],
] as const) {
  test(`refused: ${args.join(" ")}`, async () => {
    assert.match(await complaint(runCommand(), [...ASKED, ...args]), message);
  });
}

test.run();
