/** `glimt inspect` and `glimt graph`, and help. */
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { glimt, json } from "./command.ts";

const model = "test/golden/data/glm4v-tiny";

test("a GGUF model and its tower: inspect says what becomes of its types, run answers", () => {
  const [file, tower] = ["glm4v-tiny.gguf", "mmproj-glm4v-tiny.gguf"].map((name) =>
    join("test/golden/data/gguf", name),
  );
  const { stdout } = glimt("inspect", file!, "--mmproj", tower!);
  assert.match(stdout, /of Q4_0 \(.*\) -> q4 \(.*\), without loss/);
  assert.match(stdout, /of Q5_0 \(.*\) -> q5_0 \(.*\), without loss/);
  assert.match(stdout, /notes +.*how videos are sampled/);
  const ask = ["run", file!, "Hello", "--max-tokens", "2", "--backend", "wasm", "--json"];
  assert.is(json(...ask, "--mmproj", tower!).tokenIds.length, 2);
  assert.match(glimt("inspect", file!).stdout, /vision +.*language model alone/);
});

test("graph prints every program; inspect says what is there", () => {
  const graph = glimt("graph", model);
  assert.is(graph.status, 0, graph.stderr);
  assert.match(graph.stdout, /program vision: \d+ instructions/);
  assert.match(graph.stdout, /program decoder: \d+ instructions/);
  assert.match(graph.stdout, /attention_paged\(/);
  assert.match(glimt("graph", model, "--stage", "model").stdout, /add_bias\(/);
  const inspected = glimt("inspect", model);
  assert.match(inspected.stdout, /Glm4vForConditionalGeneration/);
  assert.match(inspected.stdout, /KV cache/);
  assert.match(inspected.stdout, /become +\d+ of F32 \(.*\) -> f32 \(.*\), without loss/);
  assert.match(inspected.stdout, /runs on +(wasm: WebAssembly|cuda: )/);
  assert.is(json("inspect", model, "--json").family, "glm4v");
  assert.match(glimt("graph", model, "--dtype", "q8").stdout, /q8/);
  const { stored } = json("inspect", model, "--dtype", "q4", "--vision-dtype", "q8", "--json");
  assert.ok(stored.bytes.q4 > 0 && stored.bytes.q8 > 0);
  assert.match(glimt("inspect", model, "--vision-dtype", "q8").stdout, /precise .*patch_embed/);
});

test("help and version need no model", () => {
  assert.match(glimt("--help").stdout, /run.*process.*graph.*inspect/s);
  assert.match(glimt("run", "--help").stdout, /--image.*--temperature/s);
  for (const command of ["run", "process", "plan"]) assert.not.match(glimt(command, "--help").stdout, /\[\]/);
  assert.not.match(glimt("plan", "--help").stdout, /--decode-timeout/);
  assert.match(glimt("--version").stdout, /^\d+\.\d+\.\d+\n$/);
});

test.run();
