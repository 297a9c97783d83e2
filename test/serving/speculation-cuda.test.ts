/** Drafts on the emulated CUDA backend: answers are those without, where no choice is closer than last bits. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { loadModelOn } from "../../src/api/load-model.ts";
import { createCudaBackend } from "../../src/backends/cuda/backend.node.ts";
import { type GenerateOptions, openFiles } from "../../src/index.ts";
import { readLocalFile } from "../../src/media/files.node.ts";
import { EMULATOR_PATH } from "../bindings/emulator.ts";
import { facts, REQUESTS } from "./company.ts";

test("by the layer and by looking back, at once and with runs replayed as graphs", async () => {
  const backends = [createCudaBackend({ addonPath: EMULATOR_PATH, activations: "f32" })];
  const platform = { backends, openFiles, readFile: readLocalFile };
  const model = await loadModelOn(platform, "test/golden/data/glm_ocr-tiny", { prefillChunk: 24 });
  const answers = (speculation: GenerateOptions["speculation"]) =>
    Promise.all(
      REQUESTS.map(async ([messages, options]) => {
        const { tokenIds, text, finishReason } = facts(
          await model.complete(messages, { ...options, speculation }),
        );
        return { tokenIds, text, finishReason };
      }),
    );
  const expected = await answers("off");
  for (const speculation of ["mtp", "lookup"] as const) {
    assert.equal(await answers(speculation), expected, speculation);
    assert.equal(await answers(speculation), expected, `${speculation} again`);
  }
  assert.ok(model.stats().drafts.drafted > 0);
  await model.dispose();
  assert.is(model.liveBytes, 0);
});

test.run();
