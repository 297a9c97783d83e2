/** A step holds pictures of several sequences, on the emulated CUDA backend. */
import { test } from "uvu";
import { createCudaBackend } from "../../src/backends/cuda/backend.node.ts";
import { TOLERANCES } from "../../src/conformance/compare.ts";
import { EMULATOR_PATH } from "../bindings/emulator.ts";
import { comparePicturesInAStep } from "./pictures-in-a-step.ts";

test("emulated CUDA: each sequence sees its own pictures, and answers as it would alone", async () => {
  const backend = createCudaBackend({ addonPath: EMULATOR_PATH, activations: "f32" });
  await comparePicturesInAStep(backend, TOLERANCES.f32);
});

test.run();
