/** A batch-invariant model on the emulated CUDA backend: whatever company, chunks and caches there are, answers are those alone. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { loadModelOn } from "../../src/api/load-model.ts";
import { createCudaBackend } from "../../src/backends/cuda/backend.node.ts";
import { nextTask } from "../../src/event-loop.ts";
import type { LoadOptions } from "../../src/index.ts";
import { nodeFiles } from "../../src/node-files.ts";
import { EMULATOR_PATH } from "../bindings/emulator.ts";
import { fc } from "../property.ts";
import { answersAlone, facts, REQUESTS } from "./company.ts";

const MODELS = [
  ["glm_ocr-tiny", "bf16"],
  ["glm_ocr-tiny", "f32"],
  ["glm4v_moe-tiny", "bf16"],
] as const;

const company = fc.record({
  /** Which requests come, some of them again, and behind how many turns of the event loop. */
  arrivals: fc.array(fc.tuple(fc.nat(REQUESTS.length - 1), fc.nat(40)), { minLength: 2, maxLength: 8 }),
  prefillChunk: fc.integer({ min: 1, max: 90 }),
  maxBatchedTokens: fc.integer({ min: 8, max: 120 }),
  maxSequences: fc.integer({ min: 2, max: 8 }),
  prefixCache: fc.boolean(),
  speculation: fc.constantFrom("off", "auto", "lookup"),
});

for (const [name, activations] of MODELS) {
  test(`${name}, ${activations} activations`, async () => {
    const backends = [createCudaBackend({ addonPath: EMULATOR_PATH, activations })];
    const open = (options: LoadOptions) =>
      loadModelOn({ ...nodeFiles, backends }, `test/golden/data/${name}`, {
        batchInvariant: true,
        ...options,
      });
    const alone = await open({ maxSequences: 1, prefixCache: false, encoderCacheBytes: 0 });
    const expected = await answersAlone(alone);
    await alone.dispose();
    await fc.assert(
      fc.asyncProperty(company, async ({ arrivals, speculation, ...options }) => {
        const model = await open(options);
        try {
          await Promise.all(
            arrivals.map(async ([index, turns]) => {
              for (let turn = 0; turn < turns; turn++) await nextTask();
              const [messages, asked] = REQUESTS[index] as (typeof REQUESTS)[number];
              const found = await model.complete(messages, { ...asked, speculation });
              assert.equal(facts(found), expected[index]);
            }),
          );
        } finally {
          await model.dispose();
        }
      }),
      { numRuns: 3 },
    );
  });
}

test.run();
