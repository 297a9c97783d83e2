/** A step that runs out of memory fails only the slices that asked for too much. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Backend, Engine } from "../../src/backends/backend.ts";
import { createReferenceBackend } from "../../src/backends/reference/backend.ts";
import { GlimtError } from "../../src/errors.ts";
import { answerOf } from "../../src/runtime/decoder.ts";
import { openSeeded, prompt } from "./seeded-stages.ts";

const full = () => new GlimtError("OUT_OF_MEMORY", "full");

/** The reference backend, whose engine refuses what `limits` forbid at the time. */
function limited(limits: { pages: number; tokens: number; failure?: GlimtError }) {
  const backend = createReferenceBackend("f32");
  const runs: number[] = [];
  const open: Backend["open"] = async (options) => {
    const engine = await backend.open(options);
    const { allocate, run } = engine;
    engine.allocate = (dtype, rows, cols) => {
      // The widest tensors are the layers of the cache.
      if (cols > 200 && rows > limits.pages) throw full();
      return allocate.call(engine, dtype, rows, cols);
    };
    engine.run = async (...args: Parameters<Engine["run"]>) => {
      const { tokens } = args[1].symbols as { tokens: number };
      runs.push(tokens);
      if (tokens > limits.tokens) throw limits.failure ?? full();
      return run.apply(engine, args);
    };
    return engine;
  };
  return { backend: { ...backend, open }, runs };
}

const LENGTHS = [3, 70, 5, 2, 7];

async function alone() {
  const { engine, decoder, pool } = await openSeeded(createReferenceBackend("f32"));
  const answers = [];
  for (const [index, count] of LENGTHS.entries()) {
    answers.push(answerOf((await decoder.forward([prompt(pool, count, index)]))[0]));
  }
  engine.dispose();
  return answers;
}

test("a slice whose pages do not fit fails by itself; the others are run together", async () => {
  const limits = { pages: Number.POSITIVE_INFINITY, tokens: Number.POSITIVE_INFINITY };
  const { backend, runs } = limited(limits);
  const { engine, decoder, pool } = await openSeeded(backend);
  limits.pages = 5;
  const slices = LENGTHS.map((count, index) => prompt(pool, count, index));
  const results = await decoder.forward(slices);
  const expected = await alone();
  for (const [index, result] of results.entries()) {
    if (index === 1) assert.is(result.error?.code, "OUT_OF_MEMORY");
    else assert.equal(result, expected[index]);
  }
  assert.equal(runs, [17]);
  assert.equal(
    slices.map(({ sequence }) => sequence.length),
    [3, 0, 5, 2, 7],
  );
  assert.is(slices[1]?.sequence.blockTable.length, 0);
  // There is room for it once the others are gone.
  for (const { sequence } of slices) sequence.release();
  assert.equal(await decoder.forward([slices[1]!]), [expected[1]]);
  engine.dispose();
});

test("a run that does not fit is tried in halves, down to a slice by itself", async () => {
  const limits = { pages: Number.POSITIVE_INFINITY, tokens: 9 };
  const { backend, runs } = limited(limits);
  const { engine, decoder, pool } = await openSeeded(backend);
  const slices = LENGTHS.map((count, index) => prompt(pool, count, index));
  const results = await decoder.forward(slices);
  assert.equal(runs, [87, 78, 73, 3, 70, 5, 9]);
  const expected = await alone();
  for (const [index, result] of results.entries()) {
    if (index === 1) assert.is(result.error?.message, "full");
    else assert.equal(result, expected[index]);
  }
  assert.equal(
    slices.map(({ sequence }) => sequence.length),
    [3, 0, 5, 2, 7],
  );
  limits.tokens = 70;
  assert.equal(await decoder.forward([slices[1]!]), [expected[1]]);
  engine.dispose();
});

test("any other failure is the whole step's", async () => {
  const failure = new GlimtError("DEVICE_FAILED", "lost");
  const { backend, runs } = limited({ pages: Number.POSITIVE_INFINITY, tokens: 9, failure });
  const { engine, decoder, pool } = await openSeeded(backend);
  await decoder.forward(LENGTHS.map((count) => prompt(pool, count))).then(
    () => assert.unreachable(),
    (error) => assert.is(error, failure),
  );
  assert.equal(runs, [87]);
  engine.dispose();
});

test("a step of nothing runs nothing", async () => {
  const { backend, runs } = limited({ pages: Number.POSITIVE_INFINITY, tokens: 0 });
  const { engine, decoder } = await openSeeded(backend);
  assert.equal([await decoder.forward([]), runs], [[], []]);
  engine.dispose();
});

test.run();
