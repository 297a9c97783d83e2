/**
 * A KV cache in q8: attention over it, and what writes it, have the reference's bits in every variant of the module, since
 * every step is written down (src/backends/reference/block-attention.ts).
 */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { referenceBackend } from "../../src/backends/reference/backend.ts";
import { wasmBackend } from "../../src/backends/wasm/backend.ts";
import { WasmEngine } from "../../src/backends/wasm/engine.ts";
import { instantiateKernels } from "../../src/backends/wasm/kernels.ts";
import { VARIANTS } from "../../src/backends/wasm/variants.ts";
import { caseName, type OpCase } from "../../src/conformance/case.ts";
import { OP_CASES } from "../../src/conformance/cases.ts";
import { type CaseRun, runCase } from "../../src/conformance/harness.ts";
import { createGraphBuilder } from "../../src/graph/builder.ts";
import { onEachHost } from "./pretending-host.ts";

/** Those that this host runs on one thread; several threads have the bits of one (wasm-rows). */
const VARIANTS_HERE = VARIANTS.filter(({ probe, threads }) => !threads && WebAssembly.validate(probe));

/** Cases of a cache in q8, and what the reference makes of them. */
async function casesOf(op: "kv_write" | "attention_paged"): Promise<readonly [OpCase, CaseRun][]> {
  const reference = await referenceBackend.open();
  const items = OP_CASES[op]().filter(({ cache }) => cache === "q8");
  assert.ok(items.length > 10);
  const runs = await Promise.all(items.map((item) => runCase(reference, item, "f32")));
  reference.dispose();
  return items.map((item, index) => [item, runs[index] as CaseRun]);
}

async function assertSameBits(
  engine: WasmEngine,
  host: string,
  [item, expected]: readonly [OpCase, CaseRun],
) {
  const found = await runCase(engine, item, "f32");
  const what = `${host}, ${caseName(item)}`;
  assert.equal(found.strayWrites, [], what);
  for (const [name, values] of Object.entries(expected.outputs)) {
    const differing = values.findIndex((value, at) => !Object.is(value, found.outputs[name]?.[at]));
    assert.is(
      differing,
      -1,
      `${what}: ${name}[${differing}] is ${found.outputs[name]?.[differing]}, expected ${values[differing]}`,
    );
  }
}

for (const op of ["kv_write", "attention_paged"] as const) {
  test(`${op}: the reference's bits in every variant of the module`, async () => {
    const cases = await casesOf(op);
    for (const variant of VARIANTS_HERE) {
      const engine = new WasmEngine(wasmBackend, await instantiateKernels(variant));
      for (const item of cases) await assertSameBits(engine, variant.name, item);
      engine.dispose();
    }
  });
}

test("attention_paged: the reference's bits whatever a host's product of bytes is exact for", async () => {
  const cases = await casesOf("attention_paged");
  await onEachHost(async (engine, byteDot) => {
    for (const item of cases) await assertSameBits(engine, byteDot, item);
  });
});

test("heads that are no whole blocks are refused", () => {
  const builder = createGraphBuilder({
    name: "narrow",
    activationDType: "f32",
    weightDType: () => "f32",
    kvCacheDType: "q8",
  });
  const attrs = { numKvHeads: 1, headDim: 16, pageSize: 4 };
  const inputs = {
    k: builder.input("k", [1, 16], "f32"),
    v: builder.input("v", [1, 16], "f32"),
    slots: builder.input("slots", [1], "i32"),
    cache: builder.state("cache", [2, 2 * 16 * 4]),
  };
  assert.throws(() => builder.kv_write(inputs, attrs), /kv_write: cache is q8.*32.*headDim is 16/);
});

test.run();
