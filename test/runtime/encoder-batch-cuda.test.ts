/** Padded and batched encoder runs on the emulated CUDA backend. */
import { test } from "uvu";
import { createCudaBackend } from "../../src/backends/cuda/backend.node.ts";
import { EMULATOR_PATH } from "../bindings/emulator.ts";
import { goldenCheckpoints } from "../golden/load.ts";
import { comparePadded } from "./padded-features.ts";

for (const name of goldenCheckpoints()) {
  test(`${name} on emulated CUDA: features are the same padded or not, alone or in a batch`, async () => {
    await comparePadded(createCudaBackend({ addonPath: EMULATOR_PATH, activations: "f32" }), name, 1e-5);
  });
}

test.run();
