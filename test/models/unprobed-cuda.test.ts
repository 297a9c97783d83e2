/** What a backend supports decides what is fused: asked too early, a model must not run with nothing fused. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { createCudaBackend } from "../../src/backends/cuda/backend.node.ts";
import { runModelConformance } from "../../src/conformance/models.ts";
import { EMULATOR_PATH } from "../bindings/emulator.ts";

const createBackend = () => createCudaBackend({ addonPath: EMULATOR_PATH, activations: "bf16" });

test("a model on a backend that nobody probed computes what it does on one that was", async () => {
  const probed = createBackend();
  await probed.probe();
  assert.equal(await runModelConformance(createBackend()), await runModelConformance(probed));
});

test.run();
