/**
 * y = x wᵀ (+ bias): one dot product an element, accumulated in float64; of weights in blocks by the float32 steps of
 * block-product.ts, unless they are opened as what their elements are worth (`Backend.weightOnly`).
 */
import { blockParts } from "../../tensor/block-parts.ts";
import { dotBlocks, quantisedRows } from "./block-product.ts";
import type { Kernel, Kernels } from "./kernel.ts";
import type { MatrixView } from "./matrix-view.ts";
import type { RowsView } from "./rows-view.ts";

const linear: Kernel<"linear"> = ({ x, w }, { y }) => multiply(x, w, null, y);

/** No composition here: backends that have it add the bias before they round, so their judge does. */
const linearBias: Kernel<"linear_bias"> = ({ x, w, bias }, { y }) => multiply(x, w, bias.toFloat32(), y);

/** Weight rows widened at a time, so that the sums of a row of x are stored side by side. */
const BLOCK = 16;

function multiply(x: MatrixView, w: RowsView, bias: Float32Array | null, y: MatrixView): void {
  if (w.blockFormat) {
    multiplyBlocks(x, w, bias, y);
    return;
  }
  const size = x.cols;
  const xs = x.toFloat32();
  const block = new Float32Array(BLOCK * size);
  const sums = new Float64Array(x.rows * w.rows);
  for (let first = 0; first < w.rows; first += BLOCK) {
    const count = Math.min(BLOCK, w.rows - first);
    for (let i = 0; i < count; i++) w.readRow(first + i, block, i * size);
    for (let m = 0; m < x.rows; m++) {
      for (let i = 0; i < count; i++) {
        const start = bias ? (bias[first + i] as number) : 0;
        sums[m * w.rows + first + i] = start + dot(xs, m * size, block, i * size, size);
      }
    }
  }
  for (let m = 0; m < x.rows; m++) y.writeRow(m, sums, m * w.rows);
}

function multiplyBlocks(x: MatrixView, w: RowsView, bias: Float32Array | null, y: MatrixView): void {
  const productsOf = openProducts(w, x.toFloat32());
  const sums = new Float32Array(x.rows * w.rows);
  for (let n = 0; n < w.rows; n++) {
    const product = productsOf(n);
    const start = bias ? (bias[n] as number) : 0;
    for (let m = 0; m < x.rows; m++) sums[m * w.rows + n] = product(m, start);
  }
  for (let m = 0; m < x.rows; m++) y.writeRow(m, sums, m * w.rows);
}

/** start + x[m] · w[n], for a row of w that stays while the rows of x change. */
export type ProductsOfRow = (m: number, start?: number) => number;

/** Of rows of w with those of x [m, w.cols]; a row's products are to be used before the next row is asked for. */
export function openProducts(w: RowsView, xs: Float32Array): (n: number) => ProductsOfRow {
  const size = w.cols;
  const format = w.blockFormat;
  if (format) {
    const quantised = quantisedRows(xs, size);
    const parts = blockParts(format, size);
    return (n) => {
      w.readBlocks(n, parts);
      return (m, start = 0) => dotBlocks(start, quantised, m, parts, format);
    };
  }
  const row = new Float32Array(size);
  return (n) => {
    w.readRow(n, row);
    return (m, start = 0) => start + dot(xs, m * size, row, 0, size);
  };
}

/** Σ a[i] b[i] in float64; four running sums, because one would wait for each addition. */
export function dot(a: Float32Array, aStart: number, b: Float32Array, bStart: number, size: number): number {
  let s0 = 0;
  let s1 = 0;
  let s2 = 0;
  let s3 = 0;
  let i = 0;
  for (; i + 4 <= size; i += 4) {
    s0 += (a[aStart + i] as number) * (b[bStart + i] as number);
    s1 += (a[aStart + i + 1] as number) * (b[bStart + i + 1] as number);
    s2 += (a[aStart + i + 2] as number) * (b[bStart + i + 2] as number);
    s3 += (a[aStart + i + 3] as number) * (b[bStart + i + 3] as number);
  }
  for (; i < size; i++) s0 += (a[aStart + i] as number) * (b[bStart + i] as number);
  return s0 + s1 + (s2 + s3);
}

export const linearKernels = {
  linear,
  linear_bias: linearBias,
} satisfies Kernels;
