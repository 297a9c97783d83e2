/** add, add_bias, swiglu, gelu */
import { M, type OpCase, type OpCases, opCase, ROW_COUNTS } from "../case.ts";
import { each, normal, strided, withValues } from "../operands.ts";

const WIDTHS = [1, 4, 7, 64, 131] as const;

/** All the signs and sizes at which exp or erf saturate. */
const EXTREMES = [0, -0, 1e-30, -1e-6, 1e-3, -3.9, 4.1, -9.5, 20, -60, 88.8, -90, 104, -1e4, 1e4] as const;

type Inputs = readonly [name: string, isVector: boolean][];

const INPUTS = {
  add: [
    ["a", false],
    ["b", false],
  ],
  add_bias: [
    ["x", false],
    ["bias", true],
  ],
  swiglu: [
    ["gate", false],
    ["up", false],
  ],
  gelu: [["x", false]],
} as const satisfies Record<string, Inputs>;

function casesOf(op: keyof typeof INPUTS): OpCase[] {
  const inputs: Inputs = INPUTS[op];
  const first = inputs[0]?.[0] as string;
  const operands = (n: number, view = false) =>
    Object.fromEntries(
      inputs.map(([name, isVector]) => {
        const operand = normal(isVector ? [n] : [M, n], { scale: 3 });
        return [name, view && !isVector ? strided(operand, name === first ? 3 : 8) : operand];
      }),
    );
  const sizes = ROW_COUNTS.flatMap((m) =>
    WIDTHS.flatMap((n) =>
      [false, true].map((inPlace) =>
        opCase(op, { fields: { m, n }, symbols: { m }, operands: operands(n), inPlace }),
      ),
    ),
  );
  const views = [1, 9].map((m) =>
    opCase(op, { fields: { m, n: 13, inputs: "strided" }, symbols: { m }, operands: operands(13, true) }),
  );
  const extremes = opCase(op, {
    fields: { m: 2, n: 15, first: "extremes" },
    symbols: { m: 2 },
    operands: {
      ...operands(15),
      [first]: each([M, 15], (index) => EXTREMES[index % EXTREMES.length] as number),
    },
  });
  const notFinite = opCase(op, {
    fields: { m: 2, n: 9, first: "NaN and infinities" },
    symbols: { m: 2 },
    operands: {
      ...operands(9),
      [first]: withValues(normal([M, 9]), {
        0: Number.NaN,
        4: Number.POSITIVE_INFINITY,
        17: Number.NaN,
      }),
    },
  });
  return [...sizes, ...views, extremes, notFinite];
}

export const elementwiseCases = {
  add: () => casesOf("add"),
  add_bias: () => casesOf("add_bias"),
  swiglu: () => casesOf("swiglu"),
  gelu: () => casesOf("gelu"),
} satisfies OpCases;
