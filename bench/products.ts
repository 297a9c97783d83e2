/** Linears of given sizes, checked against a naive product before they are timed. */
import { dotBlocks, quantisedRows } from "../src/backends/reference/block-product.ts";
import { blocksOf } from "../src/conformance/harness.ts";
import { blockParts, readBlocks } from "../src/tensor/block-parts.ts";
import { quantise } from "../src/tensor/blocks.ts";
import { fromFloat32, toFloat32 } from "../src/tensor/elements.ts";
import {
  type BlockFormat,
  blockCols,
  isBlockFormat,
  isRoundedFormat,
  storageBytes,
  WEIGHT_FORMATS,
} from "../src/tensor/storage.ts";
import { checkResult, noise, type OpenEngine, oneOp, type TimedKernel } from "./kernels.ts";

/** Those that WebAssembly has kernels for. */
export const PRODUCT_FORMATS = WEIGHT_FORMATS.filter((format) => format !== "fp8");

export interface LinearSize {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly dtype: (typeof PRODUCT_FORMATS)[number];
}

/** Elements of the result that are compared; all of them would take longer than the benchmark. */
const SAMPLES = 200;

/** A linear as a program of one op. @throws when the result is wrong. */
export async function linear(size: LinearSize, open?: OpenEngine): Promise<TimedKernel> {
  const { m, n, k, dtype } = size;
  const [x, w] = [noise(m * k, 3), noise(n * k, 5)];
  const name = `linear ${m} x ${n} x ${k}, ${dtype}`;
  const kernel = await oneOp(
    (builder) => builder.linear({ x: builder.input("x", [m, k], "f32"), w: builder.weight("w", [n, k]) }),
    { x: { data: x, cols: k } },
    { w },
    [m, n],
    { weightDType: dtype, open },
  );
  await kernel.run();
  checkResult(name, await kernel.engine.read(kernel.output), naiveSamples(x, w, size));
  return { ...kernel, name, operations: 2 * m * n * k };
}

/** `times` products of one row with the same square weight, one after the other, so that it stays in a core's caches. */
export async function chainedProducts(
  dtype: (typeof PRODUCT_FORMATS)[number],
  size: number,
  times: number,
  open?: OpenEngine,
): Promise<TimedKernel> {
  // Sums of so many products of noise are about as large as what they are made of.
  const w = noise(size * size, 5).map((value) => value * Math.sqrt(3 / size));
  const kernel = await oneOp(
    (builder) => {
      const weight = builder.weight("w", [size, size]);
      let x = builder.input("x", [1, size], "f32");
      for (let index = 0; index < times; index++) x = builder.linear({ x, w: weight });
      return x;
    },
    { x: { data: noise(size, 3), cols: size } },
    { w },
    [1, size],
    { weightDType: dtype, open },
  );
  await kernel.run();
  const found = await kernel.engine.read(kernel.output);
  if (!found.some((value) => value !== 0) || !found.every(Number.isFinite)) {
    throw new Error(`${times} products of ${dtype} gave nothing that can be timed`);
  }
  return { ...kernel, name: `${times} x ${size} x ${size}, ${dtype}`, operations: 2 * times * size * size };
}

function naiveSamples(x: Float32Array, w: Float32Array, size: LinearSize) {
  const { m, n, k, dtype } = size;
  const product = isBlockFormat(dtype) ? blockProduct(x, w, size, dtype) : plainProduct(x, w, k, dtype);
  return Array.from({ length: SAMPLES }, (_, sample): [number, number] => {
    const index = Math.floor(((sample + 0.5) / SAMPLES) * m * n);
    return [index, product(Math.floor(index / n), index % n)];
  });
}

type Product = (row: number, column: number) => number;

function plainProduct(x: Float32Array, w: Float32Array, k: number, dtype: "f32" | "bf16" | "f16"): Product {
  return (row, column) => {
    const stored = toFloat32(dtype, fromFloat32(dtype, w.subarray(column * k, (column + 1) * k)));
    let sum = 0;
    for (let i = 0; i < k; i++) sum += (x[row * k + i] as number) * (stored[i] as number);
    return sum;
  };
}

/** Of weights that are rounded to the format, or of any blocks in their place. */
function blockProduct(x: Float32Array, w: Float32Array, { n, k }: LinearSize, format: BlockFormat): Product {
  const blocks = k / blockCols(format);
  const parts = blockParts(format, k);
  const any = isRoundedFormat(format)
    ? null
    : blocksOf({ name: "w", shape: [n, k], dtype: format, sources: [] }, format);
  const bytes = any ?? new Uint8Array(storageBytes(format, 1, k));
  return (row, column) => {
    if (isRoundedFormat(format)) quantise(format, w.subarray(column * k, (column + 1) * k), bytes);
    readBlocks(format, bytes, any ? column * blocks : 0, blocks, parts);
    return dotBlocks(0, quantisedRows(x.subarray(row * k, (row + 1) * k), k), 0, parts, format);
  };
}
