import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Backend, Engine } from "../../src/backends/backend.ts";
import { referenceBackend } from "../../src/backends/reference/backend.ts";
import { wasmBackend } from "../../src/backends/wasm/backend.ts";
import { runModelConformance } from "../../src/conformance/models.ts";

test("wasm answers as the reference does, in every family", async () => {
  for (const result of await runModelConformance(wasmBackend)) {
    assert.is(result.failure, undefined, result.model);
    assert.is(result.greedyAgreement, result.steps);
    assert.ok(result.maxRel > 0, "two implementations never agree in every bit");
  }
});

/** The reference backend, with what it reads back spoiled a little. */
const spoiled: Backend = {
  ...referenceBackend,
  name: "wasm",
  async open(options) {
    const engine = await referenceBackend.open(options);
    return new Proxy(engine, {
      get(target, key: keyof Engine) {
        if (key === "backend") return spoiled;
        if (key === "read") {
          return async (...args: Parameters<Engine["read"]>) =>
            (await target.read(...args)).map((value) => value * 1.001);
        }
        const member = target[key];
        return typeof member === "function" ? member.bind(target) : member;
      },
    });
  },
};

test("a small error is found", async () => {
  for (const result of await runModelConformance(spoiled)) assert.not(result.ok, result.model);
});

test.run();
