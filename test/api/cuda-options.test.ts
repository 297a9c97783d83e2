/** The entry for GPU servers refuses options of other backends, which it would ignore. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { loadModel } from "../../src/cuda.ts";

for (const [name, value] of Object.entries({
  backend: "wasm",
  threads: 2,
  wasmVariant: "simd",
  maxMemory: 2 ** 30,
  worker: true,
})) {
  test(`loadModel of glimt/cuda knows no ${name}`, async () => {
    const error = await loadModel("nowhere", { [name]: value } as object).then(
      () => null,
      (error) => error,
    );
    assert.is(error?.code, "OPTION_INVALID");
    assert.match(error.message, new RegExp(`\\b${name}\\b`));
  });
}

test.run();
