/** Whole models with weights in blocks on the emulated CUDA backend, against the reference backend that widens them. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { createCudaBackend } from "../../src/backends/cuda/backend.node.ts";
import { BLOCK_MODEL_CONFIGS, WIDE_BLOCK_MODEL_CONFIGS } from "../../src/conformance/model-configs.ts";
import { runModelConformance } from "../../src/conformance/models.ts";
import { EMULATOR_PATH } from "../bindings/emulator.ts";

for (const activations of ["f32", "bf16"] as const) {
  for (const weights of ["q8", "q4", "fp8"] as const) {
    test(`${activations} activations and ${weights} weights answer as the reference does, in every family`, async () => {
      const backend = createCudaBackend({ addonPath: EMULATOR_PATH, activations });
      const configs = weights === "fp8" ? WIDE_BLOCK_MODEL_CONFIGS : BLOCK_MODEL_CONFIGS;
      const results = await runModelConformance(backend, { configs, weights });
      assert.is(results.length, 3);
      for (const { failure, model, maxRel } of results) {
        assert.is(failure, undefined, model);
        assert.ok(maxRel > 0, "two implementations never agree in every bit");
      }
    });
  }
}

test.run();
