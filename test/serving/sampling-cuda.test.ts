/**
 * A sampled answer is the same on emulated CUDA and on wasm, the prompt read in chunks. Logits differ in their last
 * digits, which moves no draw of this seed past the end of its token's share.
 */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { loadModelOn } from "../../src/api/load-model.ts";
import { createCudaBackend } from "../../src/backends/cuda/backend.node.ts";
import { wasmBackend } from "../../src/backends/wasm/backend.ts";
import { openFiles } from "../../src/index.ts";
import { readLocalFile } from "../../src/media/files.node.ts";
import type { Message } from "../../src/prompt/process-options.ts";
import { EMULATOR_PATH } from "../bindings/emulator.ts";
import { goldenCases } from "../golden/load.ts";

const SAMPLING = { temperature: 1, topP: 0.95, topK: 50, minP: 0.001, repetitionPenalty: 1.2, seed: 9 };

test("the same seed gives the same answer on two backends", async () => {
  const golden = goldenCases("glm_ocr-tiny")[0]!;
  const answers = [];
  for (const backend of [createCudaBackend({ addonPath: EMULATOR_PATH, activations: "f32" }), wasmBackend]) {
    const platform = { backends: [backend], openFiles, readFile: readLocalFile };
    const options = { media: "huggingface", prefillChunk: 5 } as const;
    const model = await loadModelOn(platform, golden.checkpointDir, options);
    const { tokenIds } = await model.complete(golden.messages as Message[], { maxTokens: 20, ...SAMPLING });
    answers.push(tokenIds);
    await model.dispose();
  }
  assert.equal(answers[0], answers[1]);
  assert.ok(new Set(answers[0]).size > 10);
});

test.run();
