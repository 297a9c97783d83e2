/** A step on an engine with several runs under way is cut into as many, and answers as one run does. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Backend, Engine } from "../../src/backends/backend.ts";
import { createReferenceBackend } from "../../src/backends/reference/backend.ts";
import { wasmBackend } from "../../src/backends/wasm/backend.ts";
import { GlimtError } from "../../src/errors.ts";
import { answerOf, type SequenceSlice } from "../../src/runtime/decoder.ts";
import type { KvPool } from "../../src/runtime/kv-pool.ts";
import { openSeeded, picture, picturePrompt, prompt } from "./seeded-stages.ts";

/** Says that it takes `count` runs at a time, and runs them in turn as an engine must. */
function overlapping(backend: Backend, count: number) {
  const seen = { most: 0, tokens: [] as number[], fail: -1 };
  let under = 0;
  const wrapped: Backend = {
    ...backend,
    async open(options) {
      const engine = await backend.open(options);
      const run = engine.run.bind(engine);
      let last: Promise<unknown> = Promise.resolve();
      engine.run = (...args: Parameters<Engine["run"]>) => {
        seen.most = Math.max(seen.most, ++under);
        seen.tokens.push(args[1].symbols.tokens as number);
        const isRefused = seen.fail === seen.tokens.length - 1;
        const result = last.then(async () => {
          if (isRefused) throw new GlimtError("OUT_OF_MEMORY", "planted");
          await run(...args);
        });
        last = result.catch(() => {}).then(() => under--);
        return result;
      };
      return Object.defineProperty(engine, "overlappingRuns", { value: count });
    },
  };
  return { backend: wrapped, seen };
}

function slices(pool: KvPool): SequenceSlice[] {
  return [
    prompt(pool, 3, 1),
    { ...prompt(pool, 9, 2), wantsLogits: false },
    { ...prompt(pool, 1, 3), sampling: undefined },
    { ...prompt(pool, 4, 4), wantsLogits: false, sampling: undefined },
    prompt(pool, 6, 5),
  ];
}

for (const backend of [createReferenceBackend("f32"), wasmBackend]) {
  test(`${backend.name}: the answers are the same to the bit`, async () => {
    const alone = await openSeeded(backend);
    const expected = await alone.decoder.forward(slices(alone.pool));
    alone.engine.dispose();
    for (const count of [2, 3, 8]) {
      const { backend: group, seen } = overlapping(backend, count);
      const stages = await openSeeded(group);
      assert.equal(await stages.decoder.forward(slices(stages.pool)), expected);
      assert.is(
        seen.tokens.reduce((sum, tokens) => sum + tokens, 0),
        23,
      );
      assert.ok(seen.tokens.length > 1 && seen.tokens.length <= count, `${seen.tokens}`);
      assert.is(seen.most, seen.tokens.length);
      seen.tokens.length = 0;
      await stages.decoder.forward([prompt(stages.pool, 5)]);
      assert.equal(seen.tokens, [5]);
      stages.engine.dispose();
    }
  });
}

test("pictures go with their sequences", async () => {
  const answersOn = async (backend: Backend) => {
    const { decoder, encoder, engine, pool } = await openSeeded(backend);
    const ranges = [
      await encoder.encode([picture([1, 4, 4], "a")]),
      await encoder.encode([picture([1, 2, 4], "b")]),
    ];
    const found = await decoder.forward([
      picturePrompt(pool, ranges.slice(0, 1), 1),
      prompt(pool, 4, 2),
      picturePrompt(pool, ranges, 3),
    ]);
    engine.dispose();
    return found.map(answerOf);
  };
  const reference = createReferenceBackend("f32");
  const expected = await answersOn(reference);
  const { backend, seen } = overlapping(reference, 2);
  assert.equal(await answersOn(backend), expected);
  assert.is(seen.most, 2);
});

test("a run without memory is tried again in halves, when the others have ended", async () => {
  const reference = createReferenceBackend("f32");
  const alone = await openSeeded(reference);
  const expected = await alone.decoder.forward(slices(alone.pool));
  const { backend, seen } = overlapping(reference, 2);
  const stages = await openSeeded(backend);
  seen.fail = 0;
  assert.equal(await stages.decoder.forward(slices(stages.pool)), expected);
  assert.ok(seen.tokens.length > 2);
  alone.engine.dispose();
  stages.engine.dispose();
});

test.run();
