/** linear, linear_bias, linear_swiglu */
import { M, type OpCase, type OpCases, opCase, ROW_COUNTS, WEIGHT_DTYPES } from "../case.ts";
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
  return [...sizes, ...large, ...views, ...alignedViews, ...notFinite];
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

function linearSwigluCases(): OpCase[] {
  const build = (
    m: number,
    width: number,
    k: number,
    weight: (typeof WEIGHT_DTYPES)[number],
    view = false,
  ) => {
    const x = normal([M, k]);
    return opCase("linear_swiglu", {
      fields: { m, width, k, weight, x: view ? "strided" : "whole" },
      weight,
      symbols: { m },
      attrs: { width },
      operands: { x: view ? strided(x, 8, 24) : x, w: normal([2 * width, k], { scale: 2 / Math.sqrt(k) }) },
    });
  };
  return WEIGHT_DTYPES.flatMap((weight) => [
    ...ROW_COUNTS.flatMap((m) => GATED_SIZES.map(([width, k]) => build(m, width, k, weight))),
    ...[1, 5, 20].map((m) => build(m, 150, 1104, weight)),
    ...[1, 9].map((m) => build(m, 17, 40, weight, true)),
  ]);
}

export const linearCases = {
  linear: () => productCases("linear"),
  linear_bias: () => productCases("linear_bias"),
  linear_swiglu: linearSwigluCases,
} satisfies OpCases;
