/** The CUDA backend on the emulator against the reference backend. */
import { test } from "uvu";
import { createCudaBackend } from "../../src/backends/cuda/backend.node.ts";
import { BLOCK_FORMATS, isRoundedFormat } from "../../src/tensor/storage.ts";
import { EMULATOR_PATH } from "../bindings/emulator.ts";
import { backendSuite } from "./suite.ts";

backendSuite(test, createCudaBackend({ addonPath: EMULATOR_PATH }), ["f32", "bf16", "f16"], {
  weights: BLOCK_FORMATS.filter((format) => !isRoundedFormat(format)),
  otherCaches: true,
});

test.run();
