/**
 * Weights in blocks: products, experts and embeddings have the reference's bits, since every step is written
 * down (src/backends/reference/block-product.ts).
 */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Engine } from "../../src/backends/backend.ts";
import { referenceBackend } from "../../src/backends/reference/backend.ts";
import { wasmBackend } from "../../src/backends/wasm/backend.ts";
import { WasmEngine } from "../../src/backends/wasm/engine.ts";
import { instantiateKernels } from "../../src/backends/wasm/kernels.ts";
import { VARIANTS } from "../../src/backends/wasm/variants.ts";
import { caseName, M, type OpCase, opCase, T } from "../../src/conformance/case.ts";
import { compareRuns } from "../../src/conformance/compare.ts";
import { runCase, weightRows } from "../../src/conformance/harness.ts";
import { each, normal, strided, withValues } from "../../src/conformance/operands.ts";
import { widenBlocks } from "../../src/tensor/block-parts.ts";
import { BLOCK_FORMATS, type BlockFormat, blockCols, isRoundedFormat } from "../../src/tensor/storage.ts";
import { difficultSources } from "./difficult-blocks.ts";
import { onEachHost } from "./pretending-host.ts";
import { failure, programOf } from "./wasm-sample.ts";

/** Those that values are rounded to; of the others any blocks are taken. */
const MADE = ["q8", "q4"] as const;

/** As many columns, in blocks of the format. */
const colsOf = (weight: BlockFormat, cols: number) => (cols / 32) * blockCols(weight);

async function assertSameBits(engine: Engine, reference: Engine, item: OpCase) {
  const expected = (await runCase(reference, item, "f32")).outputs.y as Float32Array;
  const found = await runCase(engine, item, "f32");
  const y = found.outputs.y as Float32Array;
  assert.equal(found.strayWrites, [], caseName(item));
  const differing = expected.findIndex((value, index) => !Object.is(value, y[index]));
  assert.is(
    differing,
    -1,
    `${caseName(item)}: element ${differing} is ${y[differing]}, expected ${expected[differing]}`,
  );
}

function linearCase(weight: BlockFormat, [m, n, k]: readonly [number, number, number], x = normal([M, k])) {
  return opCase("linear_bias", {
    fields: { m, n, k, weight },
    weight,
    symbols: { m },
    operands: { x, w: normal([n, k], { scale: 0.1 }), bias: normal([n]) },
  });
}

/**
 * [m, n, k]: rows of one panel, of several, of many; tiles alone, side by side and cut, also the last of four; one slice of k
 * and several.
 */
const SIZES = [
  ...[0, 1, 2, 3, 4, 5, 8, 9, 16, 17, 23, 96, 97].map((m) => [m, 43, 96] as const),
  ...[1, 2, 4, 20, 100].map((m) => [m, 128, 1024 + 32] as const),
  ...[1, 2].map((m) => [m, 61, 96] as const),
  [1, 1, 32],
  [2, 8, 32],
  [40, 7, 32],
  [130, 301, 2112],
] as const;

/** Those that this host runs on one thread; several threads have the bits of one (wasm-rows). */
const VARIANTS_HERE = VARIANTS.filter(({ probe, threads }) => !threads && WebAssembly.validate(probe));

/** The same of blocks of 256. */
const LONG_SIZES = [
  ...[0, 1, 2, 3, 4, 5, 8, 9, 16, 17, 23, 97].map((m) => [m, 43, 512] as const),
  ...[1, 2, 4, 20, 100].map((m) => [m, 64, 1280] as const),
  ...[1, 2].map((m) => [m, 61, 512] as const),
  [1, 1, 256],
  [40, 7, 256],
  [70, 101, 2304],
] as const;

for (const weight of BLOCK_FORMATS) {
  test(`linear_bias, ${weight}: the reference's bits in every variant of the module`, async () => {
    const reference = await referenceBackend.open();
    const k = colsOf(weight, 64);
    const view = linearCase(weight, [19, 40, k], strided(normal([M, k])));
    const sizes = blockCols(weight) > 32 ? LONG_SIZES : SIZES;
    const items = [...sizes.map((size) => linearCase(weight, size)), view];
    for (const variant of VARIANTS_HERE) {
      const engine = new WasmEngine(wasmBackend, await instantiateKernels(variant));
      for (const item of items) await assertSameBits(engine, reference, item);
      engine.dispose();
    }
    reference.dispose();
  });
}

function expertsCase(gateUp: BlockFormat, t: number, n: number, width: number): OpCase {
  return opCase("experts", {
    fields: { t, n, width, weight: gateUp },
    symbols: { t },
    attrs: { numExperts: 4, topK: 2, width, firstExpert: 0, totalExperts: 4 },
    weight: gateUp,
    operands: {
      x: normal([T, n]),
      experts: each([T, 2], (_, random) => Math.floor(4 * random.uniform())),
      weights: normal([T, 2]),
      gateUp: normal([4 * 2 * width, n], { scale: 0.1 }),
      down: normal([4 * n, width], { scale: 0.1 }),
    },
  });
}

/** Of sums of hidden values that the reference computes in float64. */
const TOLERANCE = 2e-4;

for (const weight of BLOCK_FORMATS) {
  test(`experts, ${weight}: the reference's, whether one product or both are in blocks`, async () => {
    const [engine, reference] = [await wasmBackend.open(), await referenceBackend.open()];
    const sizes = [
      [1, 64, 96],
      [2, 64, 352],
      [60, 96, 64],
      [250, 32, 32],
      // Too narrow for blocks in one of them: it stays as it is.
      [20, 64, 40],
      [20, 40, 64],
      // Experts' rows begin inside tiles.
      [1, 61, 64],
      [9, 43, 64],
    ] as const;
    const longSizes = [
      [1, 256, 512],
      [60, 256, 256],
      [20, 256, 40],
      [20, 40, 256],
      [1, 61, 256],
      [9, 43, 256],
    ] as const;
    for (const [t, n, width] of blockCols(weight) > 32 ? longSizes : sizes) {
      const item = expertsCase(weight, t, n, width);
      const [expected, found] = [await runCase(reference, item, "f32"), await runCase(engine, item, "f32")];
      const { ok, failure } = compareRuns(expected, found, TOLERANCE);
      assert.ok(ok, `${caseName(item)}: ${failure}`);
    }
    for (const used of [engine, reference]) used.dispose();
  });

  test(`linear_bias, ${weight}: activations that are not finite are so in all products of their row, and in no other`, async () => {
    const engine = await wasmBackend.open();
    for (const m of [1, 5, 40]) {
      const [n, k] = [20, colsOf(weight, 96)];
      const broken = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
      for (const [index, value] of broken.entries()) {
        const row = Math.min(m - 1, index);
        const x = withValues(normal([M, k]), { [row * k + 33 + index]: value });
        const { outputs } = await runCase(engine, linearCase(weight, [m, n, k], x), "f32");
        const finite = Array.from(outputs.y as Float32Array, Number.isFinite);
        const expected = Array.from({ length: m * n }, (_, at) => Math.floor(at / n) !== row);
        assert.equal(finite, expected, `${value} in row ${row} of ${m}`);
      }
    }
    engine.dispose();
  });

  test(`linear_bias, ${weight}: blocks of zeros and magnitudes at the ends of float32`, async () => {
    const [engine, reference] = [await wasmBackend.open(), await referenceBackend.open()];
    const scales = [0, -0, 2 ** -149, 2 ** -101, 2 ** -100, 1, 2 ** 120];
    const k = colsOf(weight, 64);
    const x = each(
      [M, k],
      (index, random) => (scales[Math.floor(index / 32) % 7] as number) * random.uniform(),
    );
    for (const m of [1, 7, 28]) await assertSameBits(engine, reference, linearCase(weight, [m, 16, k], x));
    for (const used of [engine, reference]) used.dispose();
  });
}

for (const weight of MADE) {
  for (const layout of ["plain", "tiles8"] as const) {
    test(`f32, bf16, f16 and ggml's bytes become ${weight} (${layout}) as in TypeScript, and embed reads them`, async () => {
      const engine = await wasmBackend.open();
      const [rows, cols] = [43, 96];
      const program = programOf((builder) => {
        const table = builder.weight("w", [rows, cols]);
        const y = builder.embed(
          { ids: builder.input("ids", [rows], "i32"), table },
          { first: 0, total: rows },
        );
        if (layout === "plain") return { y };
        // Tied embeddings: the linear asks for tiles.
        return { y, logits: builder.linear({ x: builder.input("x", [1, cols], "f32"), w: table }) };
      }, weight);
      for (const { dtype, source, plain } of difficultSources(weight, rows, cols)) {
        const table = await engine.uploadWeight(source, layout);
        const y = engine.allocate("f32", rows, cols);
        const tied = layout === "plain" ? {} : { x: new Float32Array(cols), logits: new Float32Array(rows) };
        const ids = Int32Array.from({ length: rows }, (_, index) => index);
        await engine.run(engine.load(program, new Map([["w", table]])), {
          symbols: {},
          buffers: { ids, y, ...tied },
        });
        const expected = new Float32Array(rows * cols);
        widenBlocks(weight, plain, 0, rows * cols, expected, 0);
        assert.equal(await engine.read(y), expected, dtype);
      }
      engine.dispose();
    });
  }

  test(`${weight}: values that are not finite as stored are counted by the block`, async () => {
    const engine = await wasmBackend.open();
    const spec = { name: "w", shape: [9, 64], dtype: weight, sources: [] } as const;
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY, 1e9]) {
      const values = new Float32Array(9 * 64).fill(0.5);
      values[7 * 64 + 40] = value;
      for (const layout of ["plain", "tiles8"] as const) {
        const error = await failure(() => engine.uploadWeight(weightRows(spec, values, "f32"), layout));
        assert.is(error.code, "WEIGHTS_INVALID");
        assert.match(error.message, /has 32 values that are NaN or infinite/);
      }
    }
    engine.dispose();
  });
}

test("whatever a host's product of bytes is exact for, the bits are the reference's", async () => {
  const reference = await referenceBackend.open();
  await onEachHost(async (engine) => {
    for (const weight of BLOCK_FORMATS) {
      for (const m of [1, 2, 3, 4, 21]) {
        await assertSameBits(engine, reference, linearCase(weight, [m, 43, colsOf(weight, 64)]));
      }
      const experts = expertsCase(weight, 60, colsOf(weight, 96), colsOf(weight, 64));
      const [expected, found] = [
        await runCase(reference, experts, "f32"),
        await runCase(engine, experts, "f32"),
      ];
      const { ok, failure } = compareRuns(expected, found, TOLERANCE);
      assert.ok(ok, `${caseName(experts)}: ${failure}`);
      if (!isRoundedFormat(weight)) continue;
      // The largest sums there are.
      const x = each([M, 64], (index) => (index % 3 ? 1 : -1));
      const w = each([19, 64], (index) => (index % 5 ? 1 : -1));
      const item = linearCase(weight, [5, 19, 64], x);
      await assertSameBits(engine, reference, { ...item, operands: { ...item.operands, w } });
    }
  });
  reference.dispose();
});

test.run();
