/**
 * Requests that run together on the emulated CUDA backend. Its products sum differently for few rows and for many, so
 * company may change last bits; with `maxSequences: 1` nothing does.
 */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { loadModelOn } from "../../src/api/load-model.ts";
import { createCudaBackend } from "../../src/backends/cuda/backend.node.ts";
import { openFiles } from "../../src/index.ts";
import { readLocalFile } from "../../src/media/files.node.ts";
import { EMULATOR_PATH } from "../bindings/emulator.ts";
import { answersAlone, answersTogether } from "./company.ts";

function load(maxSequences: number) {
  const backends = [createCudaBackend({ addonPath: EMULATOR_PATH, activations: "f32" })];
  const options = { maxSequences, prefillChunk: 24 };
  return loadModelOn(
    { backends, openFiles, readFile: readLocalFile },
    "test/golden/data/glm_ocr-tiny",
    options,
  );
}

test("alone, together, and in turns", async () => {
  const model = await load(32);
  const expected = await answersAlone(model);
  const together = await answersTogether(model);
  for (const [index, { tokenIds, topLogits }] of together.entries()) {
    const alone = expected[index] as (typeof expected)[number];
    assert.equal(tokenIds, alone.tokenIds);
    for (const [place, [token, logit]] of topLogits.entries()) {
      assert.is(token, alone.topLogits[place]?.[0]);
      assert.ok(Math.abs(logit - (alone.topLogits[place]?.[1] as number)) < 1e-3);
    }
  }
  await model.dispose();
  const inTurns = await load(1);
  assert.equal(await answersTogether(inTurns), expected);
  await inTurns.dispose();
  assert.is(inTurns.liveBytes, 0);
});

test.run();
