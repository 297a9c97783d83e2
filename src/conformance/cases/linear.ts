/** linear, linear_bias */
import { M, type OpCase, opCase, ROW_COUNTS, WEIGHT_DTYPES } from "../case.ts";
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

export function linearCases(op: "linear" | "linear_bias"): OpCase[] {
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
    [1, 2, 130].map((m) =>
      opCase(op, {
        fields: { m, n: 301, k: 1100, weight },
        weight,
        symbols: { m },
        operands: operands(301, 1100),
      }),
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
  const notFinite = [1, 9].map((m) => {
    const { x, ...others } = operands(17, 40);
    return opCase(op, {
      fields: { m, n: 17, k: 40, x: "NaN in the last row" },
      symbols: { m },
      operands: { x: withValues(x, { [m * 40 - 1]: Number.NaN }), ...others },
    });
  });
  return [...sizes, ...large, ...views, ...notFinite];
}
