/**
 * Memory with 64-bit addresses: every conformance case has the bits of the module with 32-bit ones, at addresses that
 * those can not reach. Hosts without such memory skip this.
 */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { createWasmBackend } from "../../src/backends/wasm/backend.ts";
import { WasmEngine } from "../../src/backends/wasm/engine.ts";
import { instantiateKernels } from "../../src/backends/wasm/kernels.ts";
import { VARIANTS, type Variant } from "../../src/backends/wasm/variants.ts";
import { caseName } from "../../src/conformance/case.ts";
import { runCase } from "../../src/conformance/harness.ts";
import { wasmCases } from "./wasm-sample.ts";

const backend = createWasmBackend();
const variant = (name: string) => VARIANTS.find((candidate) => candidate.name === name) as Variant;
const hasMemory64 = WebAssembly.validate(variant("relaxed64").probe);
if (!hasMemory64) console.log("skipped: this host has no memory with 64-bit addresses");
const testThere = hasMemory64 ? test : test.skip;

testThere("all cases have the usual bits past 4 GiB", async () => {
  const usual = new WasmEngine(backend, await instantiateKernels(variant("relaxed")));
  for (const name of ["relaxed64", "relaxed64-threads"]) {
    const kernels = await instantiateKernels(variant(name));
    // Nobody touches it, so that it takes no memory of the machine.
    assert.ok(kernels.glimt_allocate(2 ** 32) > 0);
    const wide = new WasmEngine(backend, kernels);
    assert.ok(wide.allocate("f32", 1, 1).pointer > 2 ** 32);
    for (const example of wasmCases()) {
      const { outputs } = await runCase(usual, example, "f32");
      const found = await runCase(wide, example, "f32");
      assert.equal(found.strayWrites, [], caseName(example));
      for (const [output, values] of Object.entries(outputs)) {
        const same = bytesOf(values).equals(bytesOf(found.outputs[output] as typeof values));
        assert.ok(same, `${name}: ${caseName(example)}: ${output} differs`);
      }
    }
    wide.dispose();
  }
  usual.dispose();
});

const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView) =>
  Buffer.from(buffer, byteOffset, byteLength);

test.run();
