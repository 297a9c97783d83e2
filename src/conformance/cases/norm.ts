/** rms_norm, add_rms_norm, rms_norm_add_rms_norm, layer_norm */
import { M, type OpCase, type OpCases, opCase, ROW_COUNTS } from "../case.ts";
import { each, normal, strided } from "../operands.ts";

const WIDTHS = [1, 5, 16, 65, 192] as const;

/** Distributions of a row at which a careless formula loses digits. */
const RANGES = {
  tiny: { scale: 1e-5 },
  huge: { scale: 1e5 },
  "mean far above the deviation": { scale: 0.1, mean: 10 },
} as const;

function rmsNormCases(): OpCase[] {
  const attrs = { eps: 1e-5 };
  const operands = (k: number, n: number) => ({ x: normal([M, k]), w: normal([n], { mean: 1 }) });
  const sizes = ROW_COUNTS.flatMap((m) =>
    WIDTHS.flatMap((n) =>
      [false, true].map((inPlace) =>
        opCase("rms_norm", {
          fields: { m, k: n, n },
          symbols: { m },
          attrs,
          operands: operands(n, n),
          inPlace,
        }),
      ),
    ),
  );
  const heads = [1, 9].flatMap((m) =>
    (
      [
        [3, 8],
        [4, 64],
        [2, 96],
        [5, 7],
        [1, 128],
      ] as const
    ).flatMap(([numHeads, n]) =>
      [false, true].map((view) => {
        const { x, w } = operands(numHeads * n, n);
        return opCase("rms_norm", {
          fields: { m, k: numHeads * n, n, x: view ? "strided" : "whole" },
          symbols: { m },
          attrs,
          operands: { x: view ? strided(x) : x, w },
        });
      }),
    ),
  );
  return [...sizes, ...heads, ...rangeCases("rms_norm", attrs)];
}

function addRmsNormCases(): OpCase[] {
  const attrs = { eps: 1e-6 };
  const operands = (n: number) => ({ a: normal([M, n]), b: normal([M, n]), w: normal([n], { mean: 1 }) });
  const sizes = ROW_COUNTS.flatMap((m) =>
    WIDTHS.flatMap((n) =>
      [false, true].map((inPlace) =>
        opCase("add_rms_norm", { fields: { m, n }, symbols: { m }, attrs, operands: operands(n), inPlace }),
      ),
    ),
  );
  const { a, b, w } = operands(20);
  const view = opCase("add_rms_norm", {
    fields: { m: 9, n: 20, inputs: "strided" },
    symbols: { m: 9 },
    attrs,
    operands: { a: strided(a), b: strided(b, 0, 7), w },
  });
  return [...sizes, view];
}

/** Past what a thread of a GPU holds in registers, aligned to 16 bytes and not. */
const LONG_WIDTHS = [520, 1544, 2051, 4096, 4104] as const;

function rmsNormAddRmsNormCases(): OpCase[] {
  const attrs = { eps: 1e-5 };
  const operands = (n: number) => ({
    a: normal([M, n]),
    b: normal([M, n], { scale: 3 }),
    wb: normal([n], { mean: 1 }),
    w: normal([n], { mean: 1 }),
  });
  const build = (m: number, n: number, inPlace: boolean) =>
    opCase("rms_norm_add_rms_norm", {
      fields: { m, n },
      symbols: { m },
      attrs,
      operands: operands(n),
      inPlace,
    });
  const sizes = ROW_COUNTS.flatMap((m) =>
    WIDTHS.flatMap((n) => [false, true].map((inPlace) => build(m, n, inPlace))),
  );
  const long = LONG_WIDTHS.flatMap((n) => [false, true].map((inPlace) => build(2, n, inPlace)));
  const { a, b, wb, w } = operands(24);
  const views = [
    [3, 5, 0, 7],
    [8, 16, 24, 8],
  ].map(([beforeA, afterA, beforeB, afterB]) =>
    opCase("rms_norm_add_rms_norm", {
      fields: { m: 9, n: 24, inputs: `strided ${beforeA} ${beforeB}` },
      symbols: { m: 9 },
      attrs,
      operands: { a: strided(a, beforeA, afterA), b: strided(b, beforeB, afterB), wb, w },
    }),
  );
  const zero = opCase("rms_norm_add_rms_norm", {
    fields: { m: 3, n: 48, b: "zero" },
    symbols: { m: 3 },
    attrs,
    operands: { ...operands(48), b: each([M, 48], () => 0) },
  });
  return [...sizes, ...long, ...views, zero];
}

function layerNormCases(): OpCase[] {
  const attrs = { eps: 1e-5 };
  const operands = (n: number) => ({ x: normal([M, n]), w: normal([n], { mean: 1 }), b: normal([n]) });
  const sizes = ROW_COUNTS.flatMap((m) =>
    WIDTHS.flatMap((n) =>
      [false, true].map((inPlace) =>
        opCase("layer_norm", { fields: { m, n }, symbols: { m }, attrs, operands: operands(n), inPlace }),
      ),
    ),
  );
  const { x, w, b } = operands(20);
  const view = opCase("layer_norm", {
    fields: { m: 9, n: 20, x: "strided" },
    symbols: { m: 9 },
    attrs,
    operands: { x: strided(x), w, b },
  });
  return [...sizes, view, ...rangeCases("layer_norm", attrs)];
}

function rangeCases(op: "rms_norm" | "layer_norm", attrs: { eps: number }): OpCase[] {
  const symbols = { m: 5 };
  const parameters = { w: normal([48], { mean: 1 }), ...(op === "layer_norm" && { b: normal([48]) }) };
  const ranges = Object.entries(RANGES).map(([x, range]) =>
    opCase(op, {
      fields: { m: 5, n: 48, x },
      symbols,
      attrs,
      operands: { x: normal([M, 48], range), ...parameters },
    }),
  );
  const zero = opCase(op, {
    fields: { m: 5, n: 48, x: "zero" },
    symbols,
    attrs,
    operands: { x: each([M, 48], () => 0), ...parameters },
  });
  return [...ranges, zero];
}

export const normCases = {
  rms_norm: rmsNormCases,
  add_rms_norm: addRmsNormCases,
  rms_norm_add_rms_norm: rmsNormAddRmsNormCases,
  layer_norm: layerNormCases,
} satisfies OpCases;
