/**
 * Parts of a phase are independent: in any order, on any worker and however a phase is cut, every conformance case has
 * the same bits. A module of tests runs parts in orders that nobody would choose (wasm/kernels/tests).
 */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { caseName, M, type OpCase, opCase, T } from "../../src/conformance/case.ts";
import { runCase } from "../../src/conformance/harness.ts";
import { fixed, normal } from "../../src/conformance/operands.ts";
import { symbolDim } from "../../src/tensor/dims.ts";
import { blockCols, type WeightFormat } from "../../src/tensor/storage.ts";
import { adverseEngine, usualEngine } from "./wasm-adverse.ts";
import { wasmCases } from "./wasm-sample.ts";

const [F, PAGES] = [symbolDim("f"), symbolDim("pages")];
const times = (count: number) => Array.from({ length: count }, (_, index) => index);

function manyExperts(t: number, n: number, width: number, weight: WeightFormat = "f32"): OpCase {
  return opCase("experts", {
    fields: { t, n, width, weight, parts: "many" },
    symbols: { t },
    attrs: { numExperts: 3, topK: 2, width, firstExpert: 0, totalExperts: 3 },
    weight,
    operands: {
      x: normal([T, n]),
      experts: fixed(
        [T, 2],
        times(t).flatMap((token) => [(token * 2) % 3, (token * 2 + 1) % 3]),
      ),
      weights: normal([T, 2]),
      gateUp: normal([3 * 2 * width, n]),
      down: normal([3 * n, width]),
    },
  });
}

/** Sizes that are cut into many parts, and indices that occur twice: the last of equals is the one that stays. */
const MORE: readonly OpCase[] = [
  ...[1, 3, 100].map((m) =>
    opCase("linear_bias", {
      fields: { m, n: 1031, k: 650, parts: "many" },
      symbols: { m },
      weight: "bf16",
      operands: { x: normal([M, 650]), w: normal([1031, 650]), bias: normal([1031]) },
    }),
  ),
  ...[1, 40].map((t) => manyExperts(t, 264, 136)),
  ...(["q8", "q4", "q5_1", "q6_k"] as const).flatMap((weight) => {
    const isLong = blockCols(weight) > 32;
    const k = isLong ? 768 : 672;
    return [
      ...[1, 3, 100].map((m) =>
        opCase("linear_bias", {
          fields: { m, n: 1031, k, weight, parts: "many" },
          symbols: { m },
          weight,
          operands: { x: normal([M, k]), w: normal([1031, k]), bias: normal([1031]) },
        }),
      ),
      ...[1, 40].map((t) => (isLong ? manyExperts(t, 256, 256, weight) : manyExperts(t, 288, 160, weight))),
    ];
  }),
  opCase("scatter_rows", {
    fields: { rows: "twice" },
    symbols: { m: 4, f: 9 },
    operands: {
      x: normal([M, 150]),
      values: normal([F, 150]),
      rows: fixed([F], [1, 3, 1, 0, 3, 3, 1, 0, 1]),
    },
  }),
  opCase("kv_write", {
    fields: { slots: "twice" },
    symbols: { t: 6, pages: 2 },
    attrs: { numKvHeads: 3, headDim: 8, pageSize: 4 },
    operands: {
      k: normal([T, 24]),
      v: normal([T, 24]),
      slots: fixed([T], [5, 0, 5, 5, -1, 0]),
      cache: normal([PAGES, 2 * 3 * 4 * 8]),
    },
  }),
];

test("parts in any order, cut for any number of workers: all cases have the usual bits", async () => {
  const usual = await usualEngine();
  const adverse = [await adverseEngine("reversed", 2), await adverseEngine("shuffled", 7)];
  for (const example of [...MORE, ...wasmCases()]) {
    const { outputs } = await runCase(usual, example, "f32");
    for (const engine of adverse) {
      const found = await runCase(engine, example, "f32");
      assert.equal(found.strayWrites, [], caseName(example));
      for (const [name, values] of Object.entries(outputs)) {
        const same = bytesOf(values).equals(bytesOf(found.outputs[name] as typeof values));
        assert.ok(same, `${caseName(example)}: ${name} differs`);
      }
    }
  }
  for (const engine of [usual, ...adverse]) engine.dispose();
});

const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView) =>
  Buffer.from(buffer, byteOffset, byteLength);

test.run();
