/** Drafts of the layer where memory is short: fewer guesses, and the same tokens. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { createReferenceBackend } from "../../src/backends/reference/backend.ts";
import { ocrConfig } from "../../src/conformance/model-configs.ts";
import { openSeededStages } from "../../src/conformance/seeded-stages.ts";
import { GlimtError } from "../../src/errors.ts";
import { answerOf } from "../../src/runtime/decoder.ts";
import { GREEDY } from "../../src/runtime/sampling-rows.ts";
import { prompt } from "./seeded-stages.ts";

async function draft(tokens: number, most: number, fail: "nothing" | "pages" | "program") {
  const { engine, decoder, pool } = await openSeededStages(createReferenceBackend("f32"), ocrConfig, "f32", {
    mtp: { ownEmbedding: false, ownNorm: true, ownHead: false },
  });
  const slice = prompt(pool, tokens);
  slice.sequence.reserve(tokens);
  const full = () => {
    throw new GlimtError("OUT_OF_MEMORY", "full");
  };
  // Guesses have the room of empty pages alone.
  if (fail !== "pages") pool.reserve(4);
  const run = engine.run.bind(engine);
  engine.run = (executable, bindings, options) =>
    fail === "program" && executable.program.name === "drafting"
      ? full()
      : run(executable, bindings, options);
  const drafting = { most, sampling: Array.from({ length: most }, () => GREEDY) };
  const [result] = await decoder.forward([{ ...slice, drafting }]);
  const { tokens: chosen, drafts } = answerOf(result);
  assert.is(slice.sequence.length, tokens);
  engine.dispose();
  return { chosen, drafts };
}

test("as many drafts as were asked for, behind a full page too", async () => {
  for (const tokens of [15, 16, 17]) {
    assert.is((await draft(tokens, 3, "nothing")).drafts?.length, 3);
    assert.equal((await draft(tokens, 0, "nothing")).drafts, []);
  }
});

test("without room behind the last token there are fewer drafts, and without memory for them none", async () => {
  for (const [tokens, drafts] of [
    [16, 1],
    [15, 2],
    [12, 3],
  ] as const) {
    const all = await draft(tokens, 3, "nothing");
    const few = await draft(tokens, 3, "pages");
    assert.equal(few, { chosen: all.chosen, drafts: all.drafts?.slice(0, drafts) });
  }
  const all = await draft(16, 3, "nothing");
  assert.equal(await draft(16, 3, "program"), { chosen: all.chosen, drafts: undefined });
});

test.run();
