/** linear, linear_bias, linear_swiglu */

import {
  BLOCK_FORMATS,
  type BlockFormat,
  blockCols,
  holdsColumns,
  type WeightFormat,
} from "../../tensor/storage.ts";
import { M, type OpCase, type OpCases, type Operand, opCase, ROW_COUNTS, WEIGHT_DTYPES } from "../case.ts";
import { normal, strided, withValues } from "../operands.ts";

/** [n, k]: one, odd, prime, one past tiles of 4, 8, 16 and 64, and a k past unrolled blocks. */
const SIZES = [
  [1, 1],
  [5, 3],
  [8, 8],
  [9, 17],
  [17, 65],
  [65, 64],
  [31, 130],
  [129, 257],
] as const;

/** [m, n, k]: past cache blocks; rows of 16-bit weights aligned to 16 bytes, k past every pipeline and with a tail. */
const LARGE = [
  [1, 301, 1100],
  [2, 301, 1100],
  [130, 301, 1100],
  [9, 264, 1096],
  [130, 301, 1096],
] as const;

/** [n, k] of weights in blocks: one block, a last tile that is not full, an odd number of blocks. */
const BLOCK_SIZES = [
  [1, 32],
  [8, 64],
  [9, 32],
  [17, 96],
  [65, 160],
  [31, 1056],
  [129, 256],
] as const;

/** The same of blocks of 256. */
const LONG_BLOCK_SIZES = [
  [1, 256],
  [9, 512],
  [31, 768],
] as const;

/** [m, n, k] */
const LARGE_BLOCKS = [
  [1, 301, 1088],
  [2, 301, 1088],
  [130, 301, 1088],
  [67, 264, 512],
  // Columns of GLM-4.5V, no multiple of 128 or 256, around the row counts where kernels change.
  ...[1, 2, 7, 8, 9, 130].map((m) => [m, 13, 10944] as const),
] as const;
const LARGE_LONG_BLOCKS = [
  [1, 301, 1280],
  [2, 301, 1280],
  [130, 301, 1280],
] as const;

/** What a row of x may hold, by index: everything that is no usual number, and what is too small for a scale. */
const ODD_VALUES: Readonly<Record<string, Readonly<Record<number, number>>>> = {
  NaN: { 5: Number.NaN },
  infinity: { 40: Number.POSITIVE_INFINITY },
  "minus infinity and NaN": { 0: Number.NEGATIVE_INFINITY, 95: Number.NaN },
  "the largest float": { 3: 3.4028234663852886e38, 70: -3e38 },
  "a block of zeros": Object.fromEntries(Array.from({ length: 32 }, (_, i) => [32 + i, i % 2 ? 0 : -0])),
  "a block below 2^-100": Object.fromEntries(
    Array.from({ length: 32 }, (_, i) => [64 + i, (i - 16) * 2 ** -105]),
  ),
  ties: Object.fromEntries(Array.from({ length: 32 }, (_, i) => [i, i === 0 ? 127 : i - 15.5])),
};

/** All backends that round activations to 8-bit blocks do so by the same steps: the judge's bits. */
function blockCases(op: "linear" | "linear_bias"): OpCase[] {
  const build = (
    weight: BlockFormat,
    [m, n, k]: readonly [number, number, number],
    about = "whole",
    change = (x: Operand) => x,
  ) =>
    opCase(op, {
      fields: { m, n, k, weight, x: about },
      weight,
      symbols: { m },
      operands: {
        x: change(normal([M, k])),
        w: normal([n, k], { scale: 1 / Math.sqrt(k) }),
        ...(op === "linear_bias" && { bias: normal([n]) }),
      },
      exact: "by integers",
    });
  return BLOCK_FORMATS.flatMap((weight) => {
    const isLong = blockCols(weight) > 32;
    const k = isLong ? 256 : 96;
    return [
      ...ROW_COUNTS.flatMap((m) =>
        (isLong ? LONG_BLOCK_SIZES : BLOCK_SIZES).map(([n, k]) => build(weight, [m, n, k])),
      ),
      ...(isLong ? LARGE_LONG_BLOCKS : LARGE_BLOCKS).map((sizes) => build(weight, sizes)),
      ...[1, 2, 9].map((m) => build(weight, [m, 33, k], "strided", strided)),
      build(weight, [130, 72, 2 * k], "strided by 16 bytes", (x) => strided(x, 8, 16)),
      ...Object.entries(ODD_VALUES).flatMap(([name, values]) =>
        [1, 9].map((m) => build(weight, [m, 17, k], name, (x) => withValues(x, values))),
      ),
    ];
  });
}

/** [n, k] of weights in fp8: one block, a last tile that is not full, an odd number of blocks. */
const FP8_SIZES = [
  [1, 128],
  [9, 128],
  [31, 384],
  [129, 256],
] as const;

/** [m, n, k]: k in several parts, and in as many as make no multiple of 256. */
const LARGE_FP8 = [
  [1, 301, 1152],
  [130, 301, 1152],
  ...[2, 7, 8, 9, 130].map((m) => [m, 13, 10880] as const),
] as const;

function fp8Cases(op: "linear" | "linear_bias"): OpCase[] {
  const build = (m: number, n: number, k: number, about = "whole", change = (x: Operand) => x) =>
    opCase(op, {
      fields: { m, n, k, weight: "fp8", x: about },
      weight: "fp8",
      symbols: { m },
      operands: {
        x: change(normal([M, k])),
        w: normal([n, k], { scale: 1 / Math.sqrt(k) }),
        ...(op === "linear_bias" && { bias: normal([n]) }),
      },
    });
  return [
    ...ROW_COUNTS.flatMap((m) => FP8_SIZES.map(([n, k]) => build(m, n, k))),
    ...LARGE_FP8.map(([m, n, k]) => build(m, n, k)),
    ...[1, 2, 9].map((m) => build(m, 33, 128, "strided", strided)),
    build(130, 72, 256, "strided by 16 bytes", (x) => strided(x, 8, 16)),
    ...[1, 9].map((m) => build(m, 17, 128, "NaN", (x) => withValues(x, { 5: Number.NaN }))),
  ];
}

function productCases(op: "linear" | "linear_bias"): OpCase[] {
  const operands = (n: number, k: number) => ({
    x: normal([M, k]),
    w: normal([n, k], { scale: 1 / Math.sqrt(k) }),
    ...(op === "linear_bias" && { bias: normal([n]) }),
  });
  const sizes = WEIGHT_DTYPES.flatMap((weight) =>
    ROW_COUNTS.flatMap((m) =>
      SIZES.map(([n, k]) =>
        opCase(op, { fields: { m, n, k, weight }, weight, symbols: { m }, operands: operands(n, k) }),
      ),
    ),
  );
  const large = WEIGHT_DTYPES.flatMap((weight) =>
    LARGE.map(([m, n, k]) =>
      opCase(op, { fields: { m, n, k, weight }, weight, symbols: { m }, operands: operands(n, k) }),
    ),
  );
  const views = WEIGHT_DTYPES.flatMap((weight) =>
    [1, 2, 9].map((m) => {
      const { x, ...others } = operands(33, 36);
      return opCase(op, {
        fields: { m, n: 33, k: 36, weight, x: "strided" },
        weight,
        symbols: { m },
        operands: { x: strided(x), ...others },
      });
    }),
  );
  const alignedViews = WEIGHT_DTYPES.map((weight) => {
    const { x, ...others } = operands(72, 200);
    return opCase(op, {
      fields: { m: 130, n: 72, k: 200, weight, x: "strided by 16 bytes" },
      weight,
      symbols: { m: 130 },
      operands: { x: strided(x, 8, 16), ...others },
    });
  });
  const notFinite = [1, 9].map((m) => {
    const { x, ...others } = operands(17, 40);
    return opCase(op, {
      fields: { m, n: 17, k: 40, x: "NaN in the last row" },
      symbols: { m },
      operands: { x: withValues(x, { [m * 40 - 1]: Number.NaN }), ...others },
    });
  });
  return [...sizes, ...large, ...views, ...alignedViews, ...notFinite, ...blockCases(op), ...fp8Cases(op)];
}

/** [width, k] */
const GATED_SIZES = [
  [1, 1],
  [5, 3],
  [8, 8],
  [9, 40],
  [33, 64],
  [64, 130],
  [129, 256],
] as const;

/** [width, k] */
const GATED_BLOCKS = [
  [1, 32],
  [9, 64],
  [129, 256],
] as const;
const GATED_LONG_BLOCKS = [
  [1, 256],
  [21, 512],
] as const;

/** [m, width, k] of one or several warps a row, a tail of loads, and tiles of 128 rows. */
const LARGE_GATED_BLOCKS = [
  [1, 150, 4128],
  [5, 150, 4128],
  [130, 150, 1056],
] as const;

function linearSwigluCases(): OpCase[] {
  const build = (m: number, width: number, k: number, weight: WeightFormat, view = false) => {
    const x = normal([M, k]);
    return opCase("linear_swiglu", {
      fields: { m, width, k, weight, x: view ? "strided" : "whole" },
      weight,
      symbols: { m },
      attrs: { width },
      operands: { x: view ? strided(x, 8, 24) : x, w: normal([2 * width, k], { scale: 2 / Math.sqrt(k) }) },
    });
  };
  const blocks = BLOCK_FORMATS.flatMap((weight) => [
    ...ROW_COUNTS.flatMap((m) =>
      (blockCols(weight) > 32 ? GATED_LONG_BLOCKS : GATED_BLOCKS).map(([width, k]) =>
        build(m, width, k, weight),
      ),
    ),
    ...LARGE_GATED_BLOCKS.filter(([, , k]) => holdsColumns(weight, k)).map(([m, width, k]) =>
      build(m, width, k, weight),
    ),
    build(9, 17, 2 * blockCols(weight), weight, true),
  ]);
  const others = WEIGHT_DTYPES.flatMap((weight) => [
    ...ROW_COUNTS.flatMap((m) => GATED_SIZES.map(([width, k]) => build(m, width, k, weight))),
    ...[1, 5, 20].map((m) => build(m, 150, 1104, weight)),
    ...[1, 9].map((m) => build(m, 17, 40, weight, true)),
  ]);
  const fp8 = ROW_COUNTS.flatMap((m) => [build(m, 9, 128, "fp8"), build(m, 129, 256, "fp8")]);
  return [...others, ...blocks, ...fp8];
}

export const linearCases = {
  linear: () => productCases("linear"),
  linear_bias: () => productCases("linear_bias"),
  linear_swiglu: linearSwigluCases,
} satisfies OpCases;
