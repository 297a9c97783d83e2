/** Faults that the emulator plants while a model loads and answers: typed errors, nothing leaked, the rest lives on. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { loadModelOn } from "../../src/api/load-model.ts";
import type { LoadOptions } from "../../src/api/load-options.ts";
import type { Model } from "../../src/api/model.ts";
import { createCudaBackend } from "../../src/backends/cuda/backend.node.ts";
import { openFiles } from "../../src/index.ts";
import { readLocalFile } from "../../src/media/files.node.ts";
import { encodeProgram } from "../../src/program/encoding.ts";
import type { Message } from "../../src/prompt/process-options.ts";
import type { LoadProgress } from "../../src/runtime/open-stages.ts";
import { goldenCases } from "../golden/load.ts";
import { EMULATOR_PATH, FAULT, loadEmulator } from "./emulator.ts";
import { longProgram, openLongRun } from "./long-program.ts";

const addon = loadEmulator();
const backend = createCudaBackend({ addonPath: EMULATOR_PATH, activations: "f32" });
const golden = goldenCases("glm_ocr-tiny").filter(({ imageGridThw }) => imageGridThw.length === 1)[0]!;
const messages = golden.messages as Message[];
const freeBytes = () => addon.probe(0).freeBytes;
const DEFAULT_MEMORY = freeBytes();

test.after.each(() => {
  for (const fault of Object.values(FAULT)) addon.emulatorFail(fault, 0);
  addon.emulatorMemoryLimit(DEFAULT_MEMORY);
});

function load(options: LoadOptions = {}): Promise<Model> {
  const platform = { backends: [backend], openFiles, readFile: readLocalFile };
  return loadModelOn(platform, golden.checkpointDir, {
    media: "huggingface",
    backend: "cuda",
    encoderTokenBudgets: [],
    ...options,
  });
}

const answer = async (model: Model) => (await model.complete(messages, { maxTokens: 4 })).tokenIds;
const EXPECTED = golden.tokenIds.slice(0, 4);

async function failure(action: () => Promise<unknown>): Promise<{ code: string; message: string }> {
  try {
    await action();
  } catch (error) {
    return error as { code: string; message: string };
  }
  return { code: "none", message: "" };
}

test("memory that runs out while a model loads: OUT_OF_MEMORY, and everything is given back", async () => {
  for (const [fault, countdown] of [
    [FAULT.pinned, 1],
    [FAULT.allocation, 1],
    [FAULT.allocation, 2],
    [FAULT.allocation, 40],
  ] as const) {
    addon.emulatorFail(fault, countdown);
    const { code, message } = await failure(load);
    assert.is(code, "OUT_OF_MEMORY", `fault ${fault}, ${countdown}: ${message}`);
    assert.is(freeBytes(), DEFAULT_MEMORY);
  }
  const model = await load();
  assert.equal(await answer(model), EXPECTED);
  await model.dispose();
  assert.is(freeBytes(), DEFAULT_MEMORY);
});

test("a device too small for a model is refused before a weight is read, with what is needed and free", async () => {
  addon.emulatorMemoryLimit(64 << 10);
  let loaded = 0;
  const { code, message } = await failure(() => load({ onProgress: () => loaded++ }));
  assert.is(code, "OUT_OF_MEMORY");
  assert.match(message, /The weights need 0\.00 GiB, and the device has 0\.00 GiB free/);
  assert.is(loaded, 0);
});

test("the KV cache takes the bytes or the share of free memory it is given when the model is loaded", async () => {
  const grown = await load();
  const without = grown.liveBytes;
  await grown.dispose();
  for (const kvCache of [{ bytes: 1 << 20 }, { fraction: 0.5 }]) {
    addon.emulatorMemoryLimit(8 << 20);
    const told: LoadProgress[] = [];
    const model = await load({ kvCache, onProgress: (progress) => told.push(progress) });
    const [{ loadedBytes, weight, memory }] = told as [LoadProgress];
    assert.equal([loadedBytes, weight], [0, undefined], "said before a weight is loaded");
    assert.is(memory.weightBytes + memory.kvCacheBytes, model.liveBytes);
    // An open engine has a few counters on the device.
    const own = 8 * 2 ** 20 - (memory.freeBytes as number);
    assert.ok(own >= 0 && own < 1024, `${own} bytes`);
    assert.ok(told.every((progress) => progress.memory === memory));
    const taken = model.liveBytes - without;
    const wanted = "bytes" in kvCache ? kvCache.bytes : (8 * 2 ** 20 - without) / 2;
    assert.ok(taken > 0.9 * wanted && taken <= wanted, `${taken} of ${wanted}`);
    assert.equal(await answer(model), EXPECTED);
    await model.dispose();
  }
  addon.emulatorMemoryLimit(1 << 20);
  const { message } = await failure(() => load({ kvCache: { bytes: 1 << 30 } }));
  assert.match(message, /the KV cache 1\.00 GiB/);
  for (const kvCache of [{}, { bytes: -1 }, { fraction: 2 }, { bytes: 1, fraction: 1 }, 5]) {
    const { code } = await failure(() => load({ kvCache: kvCache as { bytes: number } }));
    assert.is(code, "OPTION_INVALID");
  }
});

/** Other prompts need other sizes, so that something grows. */
const longer = (words: number) => [
  ...messages,
  { role: "assistant" as const, content: "x ".repeat(words) },
  ...messages,
];

test("an allocation that fails while a request grows is tried again with what was kept for later", async () => {
  const model = await load();
  assert.equal(await answer(model), EXPECTED);
  for (let countdown = 1; countdown <= 4; countdown++) {
    addon.emulatorFail(FAULT.allocation, countdown);
    const { code } = await failure(() => model.complete(longer(40 * countdown), { maxTokens: 2 }));
    assert.is(code, "none");
    addon.emulatorFail(FAULT.allocation, 0);
    assert.equal(await answer(model), EXPECTED, `after failure ${countdown}`);
  }
  await model.dispose();
  assert.is(freeBytes(), DEFAULT_MEMORY);
});

test("memory that runs out while a request grows ends the request alone", async () => {
  const model = await load();
  assert.equal(await answer(model), EXPECTED);
  const held = model.liveBytes;
  addon.emulatorMemoryLimit(DEFAULT_MEMORY - freeBytes());
  assert.is((await failure(() => model.complete(longer(400), { maxTokens: 2 }))).code, "OUT_OF_MEMORY");
  addon.emulatorMemoryLimit(DEFAULT_MEMORY);
  assert.equal(await answer(model), EXPECTED);
  assert.is((await failure(() => model.complete(longer(400), { maxTokens: 2 }))).code, "none");
  assert.ok(model.liveBytes >= held);
  await model.dispose();
  assert.is(freeBytes(), DEFAULT_MEMORY);
});

test("a launch that is refused ends the request with DEVICE_FAILED, and the model answers the next", async () => {
  // Launches are counted: nothing is to be found in a cache.
  const model = await load({ prefixCache: false, encoderCacheBytes: 0 });
  for (const countdown of [1, 7, 60]) {
    addon.emulatorFail(FAULT.launch, countdown);
    assert.is((await failure(() => answer(model))).code, "DEVICE_FAILED");
    assert.equal(await answer(model), EXPECTED);
  }
  await model.dispose();
  assert.is(freeBytes(), DEFAULT_MEMORY);
});

test("a device lost mid-run: DEVICE_FAILED from then on, disposing works, a new engine does too", async () => {
  const model = await load();
  addon.emulatorFail(FAULT.deviceLost, 20);
  assert.is((await failure(() => answer(model))).code, "DEVICE_FAILED");
  assert.is((await failure(() => answer(model))).code, "DEVICE_FAILED");
  assert.is((await failure(load)).code === "none", false);
  await model.dispose();
  assert.is(model.liveBytes, 0);
  addon.emulatorFail(FAULT.deviceLost, 0);
  assert.is(freeBytes(), DEFAULT_MEMORY);
  const next = await load();
  assert.equal(await answer(next), EXPECTED);
  await next.dispose();
});

test("damaged programs and those of another version are refused", async () => {
  const engine = await addon.openEngine(0, 0, 0, null);
  const bytes = encodeProgram(longProgram());
  const versioned = bytes.slice();
  new DataView(versioned.buffer).setUint32(4, 99, true);
  for (const program of [versioned, bytes.slice(0, -4), bytes.slice(0, 12), new Uint8Array(0)]) {
    const { code } = await failure(async () => addon.load(engine, program, []));
    assert.is(code, "PROGRAM_INVALID");
  }
  addon.closeEngine(engine);
});

test("a program whose weight was freed does not run", async () => {
  const engine = await backend.open();
  const { run, w } = await openLongRun(engine, 2);
  engine.free(w);
  assert.is((await failure(() => run(2))).code, "DISPOSED");
  engine.dispose();
});

test("results do not depend on the order in which threads run", async () => {
  for (const [schedule, seed] of [
    [1, 0],
    [2, 7],
  ] as const) {
    addon.emulatorSchedule(schedule, seed);
    const model = await load();
    assert.equal(await answer(model), EXPECTED);
    await model.dispose();
  }
  addon.emulatorSchedule(0, 0);
});

test.run();
