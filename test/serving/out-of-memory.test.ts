/** A task that runs out of memory is tried once more, when what is kept for later requests was given back. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { GlimtError } from "../../src/errors.ts";
import { ModelCore, type ModelParts } from "../../src/serving/model-core.ts";

function core() {
  let trims = 0;
  const parts = {
    engine: { trim: () => trims++ },
    pool: { trim() {} },
    encoderCache: { trim() {} },
    encoder: { release() {} },
    decoder: { release() {} },
    merged: [],
  } as unknown as ModelParts;
  return { core: new ModelCore(parts), trims: () => trims };
}

const full = () => new GlimtError("OUT_OF_MEMORY", "full");

/** @param failures of the first tries */
async function run(failures: readonly Error[]) {
  const { core: model, trims } = core();
  let tries = 0;
  const task = async () => {
    const failure = failures[tries++];
    if (failure) throw failure;
    return "done";
  };
  const result = await model.runWithMemory(task).catch((error) => error);
  return { result, tries, trims: trims() };
}

test("what succeeds is run once, and nothing is given back", async () => {
  assert.equal(await run([]), { result: "done", tries: 1, trims: 0 });
});

test("what finds no memory is run again after trimming, once", async () => {
  assert.equal(await run([full()]), { result: "done", tries: 2, trims: 1 });
  const last = full();
  const { result, tries, trims } = await run([full(), last]);
  assert.is(result, last);
  assert.equal([tries, trims], [2, 1]);
});

test("other errors are no matter of memory", async () => {
  const error = new GlimtError("INPUT_INVALID", "odd");
  assert.equal(await run([error]), { result: error, tries: 1, trims: 0 });
});

test.run();
