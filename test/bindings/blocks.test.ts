/** Weights in blocks (q8, q4) on the emulated CUDA backend: how they come in, and what is said of them. */
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { holdsWeights } from "../../src/api/check-formats.ts";
import { loadModelOn } from "../../src/api/load-model.ts";
import { chooseWeightFormat } from "../../src/api/weight-dtype.ts";
import type { Backend } from "../../src/backends/backend.ts";
import { createCudaBackend } from "../../src/backends/cuda/backend.node.ts";
import { wasmBackend } from "../../src/backends/wasm/backend.ts";
import { compileGraph } from "../../src/compiler/compile.ts";
import { fp8Rows } from "../../src/conformance/fp8-rows.ts";
import { storedRows, weightRows } from "../../src/conformance/harness.ts";
import { createGraphBuilder, type GraphBuilder } from "../../src/graph/builder.ts";
import type { Value } from "../../src/graph/graph.ts";
import { openFiles } from "../../src/index.ts";
import { readLocalFile } from "../../src/media/files.node.ts";
import { widenBlocks } from "../../src/tensor/block-parts.ts";
import { type BlockFormat, storageBytes } from "../../src/tensor/storage.ts";
import { difficultSources } from "../backends/difficult-blocks.ts";
import { failure } from "../checkpoint/fixtures.ts";
import { goldenDataDir } from "../golden/load.ts";
import { EMULATOR_PATH } from "./emulator.ts";

const backend = createCudaBackend({ addonPath: EMULATOR_PATH, activations: "f32" });

function programOf(weight: BlockFormat, build: (builder: GraphBuilder) => Record<string, Value>) {
  const builder = createGraphBuilder({ name: "test", activationDType: "f32", weightDType: () => weight });
  return compileGraph(builder.finish(build(builder)), { weightLayout: backend.weightLayout });
}

for (const weight of ["q8", "q4"] as const) {
  test(`f32, bf16, f16 and ggml's bytes become ${weight} as in TypeScript, and a tied table is one copy`, async () => {
    const engine = await backend.open();
    const [rows, cols] = [43, 96];
    const program = programOf(weight, (builder) => {
      const table = builder.weight("w", [rows, cols]);
      const y = builder.embed({ ids: builder.input("ids", [rows], "i32"), table }, { first: 0, total: rows });
      return { y, logits: builder.linear({ x: builder.input("x", [1, cols], "f32"), w: table }) };
    });
    for (const { dtype, source, plain } of difficultSources(weight, rows, cols)) {
      const table = await engine.uploadWeight(source, "split");
      assert.is(engine.liveBytes, storageBytes(weight, rows, cols));
      const y = new Float32Array(rows * cols);
      const logits = new Float32Array(rows);
      const [ids, x] = [
        Int32Array.from({ length: rows }, (_, index) => index),
        new Float32Array(cols).fill(1),
      ];
      await engine.run(engine.load(program, new Map([["w", table]])), {
        symbols: {},
        buffers: { ids, x, y, logits },
      });
      const expected = new Float32Array(rows * cols);
      widenBlocks(weight, plain, 0, rows * cols, expected, 0);
      assert.equal(
        y,
        expected.map((value) => value + 0),
        dtype,
      );
      logits.forEach((logit, row) => {
        const values = expected.subarray(row * cols, (row + 1) * cols);
        const [sum, size] = values.reduce(([s, a], value) => [s + value, a + Math.abs(value)], [0, 0]);
        assert.ok(Math.abs(logit - sum) <= 1e-6 * size, `${dtype}: row ${row}`);
      });
      engine.trim?.();
      engine.free(table);
    }
    engine.dispose();
  });

  test(`${weight}: values that are not finite as stored are counted by the block`, async () => {
    const engine = await backend.open();
    const spec = { name: "w", shape: [9, 64], dtype: weight, sources: [] } as const;
    for (const value of [Number.NaN, Number.NEGATIVE_INFINITY, 1e9]) {
      const values = new Float32Array(9 * 64).fill(0.5);
      values[7 * 64 + 40] = value;
      const error = await failure(() => engine.uploadWeight(weightRows(spec, values, "f32"), "split"));
      assert.is(error.code, "WEIGHTS_INVALID");
      assert.match(error.message, /has 32 values that are NaN or infinite/);
    }
    assert.is(engine.liveBytes, 0);
    engine.dispose();
  });

  test(`${weight} larger than the staging memory arrives whole, in pieces of rows`, async () => {
    const engine = await backend.open();
    const [rows, cols] = [4100, 2080];
    const program = programOf(weight, (builder) => ({
      y: builder.embed(
        { ids: builder.input("ids", [4], "i32"), table: builder.weight("w", [rows, cols]) },
        { first: 0, total: rows },
      ),
    }));
    // Each block has a scale of its own: one that was put elsewhere shows.
    const at = (index: number) => ((index % 32) - 8) * (1 + (Math.floor(index / 32) % 1021));
    const spec = { name: "w", shape: [rows, cols], dtype: weight, sources: [] } as const;
    const values = Float32Array.from({ length: rows * cols }, (_, index) => at(index) % 2048);
    const table = await engine.uploadWeight(weightRows(spec, values, "f32"), "split");
    const ids = Int32Array.of(0, 2017, 4099, 1);
    const y = new Float32Array(4 * cols);
    await engine.run(engine.load(program, new Map([["w", table]])), { symbols: {}, buffers: { ids, y } });
    ids.forEach((id, row) => {
      for (let col = 0; col < cols; col++) {
        const [found, wanted] = [y[row * cols + col] as number, values[id * cols + col] as number];
        const block = values.subarray(id * cols + col - (col % 32), id * cols + col - (col % 32) + 32);
        const step = Math.max(...block.map(Math.abs)) / (weight === "q8" ? 127 : 8);
        assert.ok(Math.abs(found - wanted) <= 1.01 * step, `row ${id}, column ${col}: ${found}, ${wanted}`);
      }
    });
    engine.dispose();
  });
}

test("fp8 of a checkpoint stays so on CUDA where rows are whole blocks, and is bf16 on WebAssembly", async () => {
  await backend.probe();
  const choose = (one: Backend) =>
    chooseWeightFormat({ tensorDType: () => "fp8" }, {}, (format) => holdsWeights(one, format).ok);
  const name = ["model.language_model.layers.0.mlp.down_proj.weight"];
  assert.is(choose(backend)(name, 1408), "fp8");
  assert.is(choose(backend)(name, 10944), "bf16");
  assert.is(choose(wasmBackend)(name, 1408), "bf16");
});

test("fp8: what is NaN is counted by the element, or by the block where its scale is; nothing is rounded to it", async () => {
  const engine = await backend.open();
  const spec = { name: "w", shape: [3, 256], dtype: "fp8", sources: [] } as const;
  const bytes = fp8Rows(Float32Array.from({ length: 3 * 256 }, (_, index) => Math.sin(index)));
  const source = (spoiled: Uint8Array) => ({ ...storedRows(spec, []), readRows: rowsOf(spoiled) });
  const rowBytes = storageBytes("fp8", 1, 256);
  const rowsOf = (of: Uint8Array) => async (first: number, count: number, into: Uint8Array) =>
    into.set(of.subarray(first * rowBytes, (first + count) * rowBytes));
  engine.free(await engine.uploadWeight(source(bytes), "split"));
  const withNaN = bytes.slice();
  withNaN[rowBytes + 4 + 17] = 0xff;
  const withScale = bytes.slice();
  new DataView(withScale.buffer).setFloat32(2 * rowBytes + 132, Number.POSITIVE_INFINITY, true);
  for (const [spoiled, count] of [
    [withNaN, 1],
    [withScale, 128],
  ] as const) {
    const error = await failure(() => engine.uploadWeight(source(spoiled), "split"));
    assert.match(error.message, new RegExp(`has ${count} values that are NaN or infinite in fp8`));
  }
  const floats = await failure(() => engine.uploadWeight(weightRows(spec, new Float32Array(768)), "split"));
  assert.is(floats.code, "INPUT_INVALID");
  assert.is(engine.liveBytes, 0);
  engine.dispose();
});

test("blocks of a GGUF file go to CUDA as they are", async () => {
  const platform = { backends: [backend], openFiles, readFile: readLocalFile };
  const [location, mmproj] = ["glm4v-tiny.gguf", "mmproj-glm4v-tiny.gguf"].map((file) =>
    join(goldenDataDir, "gguf", file),
  ) as [string, string];
  const model = await loadModelOn(platform, location, { mmproj });
  const told = model.loaded.conversions.map(({ encoding, dtype, loss }) => `${encoding} ${dtype} ${loss}`);
  assert.ok(told.includes("Q8_0 q8 none") && told.includes("Q4_0 q4 none"), told.join());
  assert.ok(model.loaded.storedBytes.q4 && model.loaded.storedBytes.q8);
  await model.dispose();
});

test.run();
