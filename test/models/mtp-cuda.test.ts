/** The same on the emulated CUDA backend, with float32 activations. */
import { test } from "uvu";
import { createCudaBackend } from "../../src/backends/cuda/backend.node.ts";
import { EMULATOR_PATH } from "../bindings/emulator.ts";
import { checkMtpCase, MTP_CASES } from "./mtp-cases.ts";

const TOLERANCE = 1e-3;

for (const name of MTP_CASES) {
  test(`${name}: the layer's logits are PyTorch's`, async () => {
    const backend = createCudaBackend({ addonPath: EMULATOR_PATH, activations: "f32" });
    await checkMtpCase(backend, name, [1000], TOLERANCE);
  });
}

test.run();
