/** Pruned videos on the emulated CUDA backend: told from features in its own types, beside others, and as the reference tells it. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { loadModelOn } from "../../src/api/load-model.ts";
import { createCudaBackend } from "../../src/backends/cuda/backend.node.ts";
import { loadModel, type Model } from "../../src/index.ts";
import { nodeFiles } from "../../src/node-files.ts";
import { EMULATOR_PATH } from "../bindings/emulator.ts";

const DIRECTORY = "test/golden/data/glm_ocr-tiny";
const options = { videoPruning: 0.6, media: "huggingface" } as const;
const clip = (name: string) => ({ type: "video" as const, video: `test/golden/data/videos/${name}` });
const image = { type: "image" as const, image: "test/golden/data/images/small.png" };
const PROMPTS = [[clip("walk")], [clip("odd"), image, clip("turn")]];

const answer = (model: Model, parts: (typeof PROMPTS)[number]) =>
  model.complete([{ role: "user", content: [...parts, { type: "text", text: "What happens?" }] }], {
    maxTokens: 4,
    sampleFrames: false,
    repetitionPenalty: 1,
  });

function loadCuda(activations: "f32" | "bf16") {
  const backends = [createCudaBackend({ addonPath: EMULATOR_PATH, activations })];
  return loadModelOn({ ...nodeFiles, backends }, DIRECTORY, options);
}

test("it answers as the reference does, alone and together", async () => {
  const reference = await loadModel(DIRECTORY, { ...options, backend: "reference" });
  const model = await loadCuda("f32");
  const together = await Promise.all(PROMPTS.map((parts) => answer(model, parts)));
  for (const [index, parts] of PROMPTS.entries()) {
    const expected = await answer(reference, parts);
    for (const found of [await answer(model, parts), together[index] as typeof expected]) {
      assert.is(found.usage.promptTokens, expected.usage.promptTokens);
      for (const [place, [token, logit]] of expected.topLogits.entries()) {
        assert.is(found.topLogits[place]?.[0], token);
        assert.ok(Math.abs((found.topLogits[place]?.[1] as number) - logit) < 1e-3);
      }
    }
  }
  await Promise.all([reference.dispose(), model.dispose()]);
  assert.is(model.liveBytes, 0);
});

test("features in bf16 that a caller kept are pruned as those that were computed", async () => {
  const model = await loadCuda("bf16");
  const [video] = await model.encodeVideos([clip("walk").video]);
  const content = (source: unknown) => [
    { role: "user" as const, content: [{ type: "video" as const, video: source }] },
  ];
  const ask = (source: unknown) => model.complete(content(source) as never, { maxTokens: 1 });
  const [pixels, features] = [await ask(clip("walk").video), await ask(video)];
  assert.equal(features.topLogits, pixels.topLogits);
  assert.equal(features.usage.promptTokens, pixels.usage.promptTokens);
  await model.dispose();
});

test.run();
