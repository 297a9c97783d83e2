/** A model over two emulated GPUs when one of them fails: one typed error in time, all is freed, and it can be loaded again. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { loadModelOn } from "../../src/api/load-model.ts";
import type { LoadOptions } from "../../src/api/load-options.ts";
import type { Model } from "../../src/api/model.ts";
import { createCudaBackend } from "../../src/backends/cuda/backend.node.ts";
import { nodeFiles } from "../../src/node-files.ts";
import type { Message } from "../../src/prompt/process-options.ts";
import { goldenCases } from "../golden/load.ts";
import { EMULATOR_PATH, FAULT, loadEmulator } from "./emulator.ts";

const addon = loadEmulator();
const backend = createCudaBackend({ addonPath: EMULATOR_PATH, activations: "f32" });
const golden = goldenCases("glm_ocr-tiny").filter(({ imageGridThw }) => imageGridThw.length === 1)[0]!;
const messages = golden.messages as Message[];
const EXPECTED = golden.tokenIds.slice(0, 4);
const freeBytes = () => [0, 1].map((device) => addon.probe(device).freeBytes);
const FREE = freeBytes();

test.after.each(() => {
  for (const fault of Object.values(FAULT)) addon.emulatorFail(fault, 0);
});

function load(parallel: LoadOptions["parallel"]): Promise<Model> {
  return loadModelOn({ ...nodeFiles, backends: [backend] }, golden.checkpointDir, {
    media: "huggingface",
    backend: "cuda",
    encoderTokenBudgets: [],
    parallel,
  });
}

const answer = async (model: Model) => (await model.complete(messages, { maxTokens: 4 })).tokenIds;

async function failure(action: () => Promise<unknown>): Promise<{ code: string; message: string }> {
  try {
    await action();
  } catch (error) {
    return error as { code: string; message: string };
  }
  return { code: "none", message: "" };
}

async function expectAllFree(): Promise<void> {
  for (let tries = 0; tries < 100 && freeBytes().join() !== FREE.join(); tries++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.equal(freeBytes(), FREE);
}

const FAULTS = [
  { name: "hangs", fault: FAULT.hang, countdown: 5, message: /another may hang|has made progress/ },
  { name: "refuses a launch", fault: FAULT.launch, countdown: 3, message: /was refused/ },
  { name: "loses its device", fault: FAULT.deviceLost, countdown: 3, message: /device was lost/ },
] as const;

for (const parallel of [{ tensor: 2 }, { pipeline: 2 }, { encoder: "stage" }] as const) {
  for (const { name, fault, countdown, message } of FAULTS) {
    // It reaches no other in an operation, in which alone the emulator hangs.
    if ("encoder" in parallel && fault === FAULT.hang) continue;
    test(`${JSON.stringify(parallel)}, a rank ${name} while it answers`, async () => {
      const model = await load({ ...parallel, ...(fault === FAULT.hang && { timeout: 3000 }) });
      assert.equal(await answer(model), EXPECTED);
      // Of a pipeline there are few operations between ranks.
      addon.emulatorFail(fault, "pipeline" in parallel ? 2 : countdown);
      const start = performance.now();
      const failed = await failure(() => answer(model));
      assert.is(failed.code, "GROUP_FAILED", failed.message);
      assert.match(failed.message, message);
      assert.ok(performance.now() - start < 20_000, "it takes long");
      assert.is((await failure(() => answer(model))).code, "GROUP_FAILED");
      for (const each of Object.values(FAULT)) addon.emulatorFail(each, 0);
      await model.dispose();
      await expectAllFree();
      const again = await load({ ...parallel });
      assert.equal(await answer(again), EXPECTED);
      await again.dispose();
      await expectAllFree();
    });
  }
}

test("a rank that lacks memory while the model loads: OUT_OF_MEMORY, and everything is given back", async () => {
  for (const countdown of [1, 2, 30]) {
    addon.emulatorFail(FAULT.allocation, countdown);
    const { code, message } = await failure(() => load({ tensor: 2 }));
    assert.ok(
      code === "OUT_OF_MEMORY" || (code === "GROUP_FAILED" && /Device memory/.test(message)),
      message,
    );
    await expectAllFree();
  }
});

test("an answer that is aborted leaves the group as it was", async () => {
  const model = await load({ tensor: 2 });
  const stop = new AbortController();
  const options = { maxTokens: 100, signal: stop.signal };
  const failed = await failure(async () => {
    for await (const event of model.generate(messages, options)) if (event) stop.abort();
  });
  assert.is(failed.code, "ABORTED");
  assert.equal(await answer(model), EXPECTED);
  await model.dispose();
  await expectAllFree();
});

test.run();
