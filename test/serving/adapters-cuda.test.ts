/** LoRA adapters on the emulated CUDA backend, held against PEFT (make_lora.py). */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { loadModelOn } from "../../src/api/load-model.ts";
import { createCudaBackend } from "../../src/backends/cuda/backend.node.ts";
import { openFiles } from "../../src/index.ts";
import { readLocalFile } from "../../src/media/files.node.ts";
import { EMULATOR_PATH } from "../bindings/emulator.ts";
import { goldenCase } from "../golden/load.ts";
import { adapterAt, adaptersOf, answer, compareWithPeft, runsOf } from "./adapter-runs.ts";

const checkpoint = "glm4v-tiny";
const { checkpointDir } = goldenCase(checkpoint, "text");

function load(activations: "f32" | "bf16", adapters = adaptersOf(checkpoint)) {
  const backends = [createCudaBackend({ addonPath: EMULATOR_PATH, activations })];
  return loadModelOn({ backends, openFiles, readFile: readLocalFile }, checkpointDir, {
    media: "huggingface",
    adapters,
    // What is kept for later requests would be counted too.
    kvCache: { bytes: 0 },
  });
}

test("with f32 activations logits and tokens are PEFT's", async () => {
  const model = await load("f32");
  const difference = await compareWithPeft(model, checkpoint);
  assert.ok(difference < 1e-3, `logits differ by ${difference}`);
  await model.dispose();
  assert.is(model.liveBytes, 0);
});

test("with bf16 activations an adapter is bf16 too, and unloading it gives its memory back", async () => {
  const model = await load("bf16", []);
  const [run] = runsOf(checkpoint);
  const golden = goldenCase(checkpoint, run!.case);
  const plain = await answer(model, golden, []);
  const held: number[] = [];
  for (let cycle = 0; cycle < 2; cycle++) {
    await model.loadAdapter(adapterAt(checkpoint, "language"));
    const adapted = await answer(model, golden, run!.adapters);
    assert.not.equal(adapted.tokenIds, plain.tokenIds);
    await model.unloadAdapter("language");
    held.push(model.liveBytes);
  }
  // The first cycle may have grown the scratch memory of runs, the second must leave nothing.
  assert.is(held[1], held[0]);
  await model.dispose();
});

test.run();
