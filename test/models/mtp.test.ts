/** The layer that drafts, beside a transcription in PyTorch: dense and of experts, with weights of its own and the model's. */
import { test } from "uvu";
import { referenceBackend } from "../../src/backends/reference/backend.ts";
import { wasmBackend } from "../../src/backends/wasm/backend.ts";
import { checkMtpCase, MTP_CASES } from "./mtp-cases.ts";

/** Largest absolute difference of a logit from PyTorch in float32, as for the model itself. */
const TOLERANCE = 1e-3;

for (const backend of [referenceBackend, wasmBackend]) {
  for (const name of MTP_CASES) {
    test(`${name} on ${backend.name}: the layer's logits are PyTorch's, however rows come and whatever was drafted`, async () => {
      const worst = await checkMtpCase(backend, name, [1000, 7], TOLERANCE);
      console.log(`${name} on ${backend.name}: largest difference ${worst.toExponential(1)}`);
    });
  }
}

test.run();
