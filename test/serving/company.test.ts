/** Requests that run together have the tokens and logits that each has alone, to the bit. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { loadModel } from "../../src/index.ts";
import { answersAlone, answersTogether, chat } from "./company.ts";

for (const backend of ["wasm", "reference"] as const) {
  for (const name of ["glm_ocr-tiny", "glm4v_moe-tiny"]) {
    test(`${backend}, ${name}: together as alone`, async () => {
      const alone = await loadModel(`test/golden/data/${name}`, { backend, maxSequences: 1 });
      const expected = await answersAlone(alone);
      await alone.dispose();
      // Steps so small that prompts are read in pieces beside answers.
      for (const limits of [{}, { prefillChunk: 24 }, { prefillChunk: 5, maxSequences: 3 }]) {
        const model = await loadModel(`test/golden/data/${name}`, { backend, ...limits });
        assert.equal(await answersTogether(model), expected);
        await model.dispose();
      }
    });
  }
}

test("requests that are aborted or left in the middle change nothing for the others", async () => {
  const model = await loadModel("test/golden/data/glm_ocr-tiny", { backend: "wasm", prefillChunk: 24 });
  const expected = await answersAlone(model);
  const left = Array.from({ length: 12 }, async (_, index) => {
    const controller = new AbortController();
    const options = { maxTokens: 40, temperature: 2, seed: index, signal: controller.signal };
    let count = 0;
    for await (const _ of model.generate(chat("Never mind", index % 3), options)) {
      if (++count < index % 5) continue;
      if (index % 2) return "left";
      controller.abort();
    }
    return "ended";
  });
  const [answers, ends] = await Promise.all([answersTogether(model), Promise.allSettled(left)]);
  assert.equal(answers, expected);
  for (const [index, end] of ends.entries()) {
    const found = end.status === "rejected" ? end.reason.code : end.value;
    assert.ok([index % 2 ? "left" : "ABORTED", "ended"].includes(found), `${index}: ${found}`);
  }
  await model.dispose();
});

test.run();
