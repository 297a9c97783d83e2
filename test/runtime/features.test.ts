/** A step holds pictures of several sequences. */
import { test } from "uvu";
import { createReferenceBackend } from "../../src/backends/reference/backend.ts";
import { wasmBackend } from "../../src/backends/wasm/backend.ts";
import { comparePicturesInAStep } from "./pictures-in-a-step.ts";

test("reference: each sequence sees its own pictures, and answers as it would alone", async () => {
  await comparePicturesInAStep(createReferenceBackend("f32"), 0);
});

test("wasm: likewise, but for how rows past the last full tile are summed", async () => {
  await comparePicturesInAStep(wasmBackend, 1e-5);
});

test.run();
