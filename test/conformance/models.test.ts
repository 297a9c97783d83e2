import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Backend, Engine } from "../../src/backends/backend.ts";
import { createReferenceBackend } from "../../src/backends/reference/backend.ts";
import { wasmBackend } from "../../src/backends/wasm/backend.ts";
import { BLOCK_MODEL_CONFIGS } from "../../src/conformance/model-configs.ts";
import { runModelConformance } from "../../src/conformance/models.ts";
import { fromFloat32, toFloat32 } from "../../src/tensor/elements.ts";

test("wasm answers as the reference does, in every family", async () => {
  for (const result of await runModelConformance(wasmBackend)) {
    assert.is(result.failure, undefined, result.model);
    assert.is(result.greedyAgreement, result.steps);
    assert.ok(result.maxRel > 0, "two implementations never agree in every bit");
  }
});

for (const weights of ["q8", "q4"] as const) {
  test(`wasm answers as the reference does with weights in ${weights}, in every family`, async () => {
    const results = await runModelConformance(wasmBackend, { configs: BLOCK_MODEL_CONFIGS, weights });
    assert.is(results.length, 3);
    for (const result of results) {
      assert.is(result.failure, undefined, result.model);
      assert.is(result.greedyAgreement, result.steps);
    }
    // One in which a rounding went the other way may be among them, on hosts where float32 sums differ so.
    const close = results.filter(({ maxRel }) => maxRel < 1e-5);
    assert.ok(close.length >= 2, results.map(({ model, maxRel }) => `${model} ${maxRel}`).join(", "));
  });
}

/** The reference backend, with what is read back multiplied by `factor`. */
function spoiled(activation: "f32" | "bf16" | "f16", factor: number): Backend {
  const backend: Backend = {
    ...createReferenceBackend(activation),
    name: "wasm",
    async open(options) {
      const engine = await createReferenceBackend(activation).open(options);
      return new Proxy(engine, {
        get(target, key: keyof Engine) {
          if (key === "backend") return backend;
          if (key === "read") {
            return async (...args: Parameters<Engine["read"]>) => {
              const values = toFloat32(args[0].dtype, await target.read(...args));
              return fromFloat32(
                args[0].dtype,
                values.map((value) => value * factor),
              );
            };
          }
          const member = target[key];
          return typeof member === "function" ? member.bind(target) : member;
        },
      });
    },
  };
  return backend;
}

// Narrow types are allowed twice their own rounding, which a whole model piles up: 0.05 to 0.08 in bf16, 0.007 in f16.
for (const [activation, factor] of [
  ["f32", 1.001],
  ["f16", 1.03],
  ["bf16", 1.25],
] as const) {
  test(`an error of a factor ${factor} is found with ${activation} activations`, async () => {
    for (const result of await runModelConformance(spoiled(activation, factor))) {
      assert.not(result.ok, `${result.model}: ${result.maxRel}`);
    }
  });
}

test.run();
