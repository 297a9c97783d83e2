/** Steps that run out of device memory, by faults that the emulator plants: who asked for too much fails alone. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { createCudaBackend } from "../../src/backends/cuda/backend.node.ts";
import type { CudaEngine } from "../../src/backends/cuda/engine.ts";
import { answerOf, type SliceResult } from "../../src/runtime/decoder.ts";
import { EMULATOR_PATH, FAULT, loadEmulator } from "../bindings/emulator.ts";
import { openSeeded, prompt } from "./seeded-stages.ts";

const backend = createCudaBackend({ addonPath: EMULATOR_PATH, activations: "f32" });
const addon = loadEmulator();
const DEFAULT_MEMORY = addon.probe(0).freeBytes;
const LENGTHS = [3, 5, 2];

test.after.each(() => {
  addon.emulatorFail(FAULT.allocation, 0);
  addon.emulatorMemoryLimit(DEFAULT_MEMORY);
});

const tokens = (results: readonly SliceResult[]) => results.map((result) => answerOf(result).tokens[0]);

test("memory refused to a run once: its halves are run, and nobody notices", async () => {
  const run = async (countdown: number) => {
    const { engine, decoder, pool } = await openSeeded(backend);
    pool.reserve(10);
    const slices = LENGTHS.map((count, index) => prompt(pool, count, index));
    addon.emulatorFail(FAULT.allocation, countdown);
    const found = tokens(await decoder.forward(slices));
    const runs = (engine as CudaEngine).statistics.eagerRuns;
    engine.dispose();
    return { found, runs };
  };
  const expected = await run(0);
  assert.is(expected.runs, 1);
  // First the logits, then the temporaries of the run.
  for (const countdown of [1, 2]) assert.equal(await run(countdown), { ...expected, runs: 2 });
});

test("a prompt that is too long for the device fails, the short ones beside it are answered", async () => {
  const { engine, decoder, pool } = await openSeeded(backend);
  pool.reserve(40);
  const expected = tokens(await decoder.forward(LENGTHS.map((count, index) => prompt(pool, count, index))));
  const { freeBytes } = addon.probe(0);
  addon.emulatorMemoryLimit(DEFAULT_MEMORY - freeBytes + 4096);
  const slices = LENGTHS.map((count, index) => prompt(pool, count, index));
  const long = prompt(pool, 300);
  const [first, failed, ...others] = await decoder.forward([slices[0]!, long, slices[1]!, slices[2]!]);
  assert.is(failed?.error?.code, "OUT_OF_MEMORY");
  assert.equal(tokens([first!, ...others]), expected);
  assert.is(long.sequence.length, 0);
  engine.dispose();
});

test.run();
