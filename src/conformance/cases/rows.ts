/** embed, gather_rows, scatter_rows, and the views slice and merge_rows: elements are moved, never changed. */
import { scaleDim, symbolDim } from "../../tensor/dims.ts";
import { BLOCK_FORMATS, holdsColumns, type WeightFormat } from "../../tensor/storage.ts";
import {
  FLOAT_BLOCK_FORMATS,
  M,
  type OpCase,
  type OpCases,
  opCase,
  ROW_COUNTS,
  T,
  WEIGHT_DTYPES,
} from "../case.ts";
import { each, normal, strided } from "../operands.ts";

const R = symbolDim("r");
const F = symbolDim("f");

/** [v, n] */
const TABLES = [
  [1, 1],
  [37, 7],
  [5, 64],
  [130, 65],
] as const;
const TABLES_OF_BLOCKS = [
  [1, 32],
  [37, 96],
  [130, 64],
  [21, 512],
] as const;
/** Nine rows of larger tables: the first, some between, the last. */
const TABLE_PARTS = [
  { n: 64, first: 0, total: 18 },
  { n: 7, first: 9, total: 27 },
  { n: 64, first: 13, total: 22 },
] as const;

function embedCases(): OpCase[] {
  const tables = [
    ...WEIGHT_DTYPES.flatMap((weight) => TABLES.map((size) => [weight, ...size] as const)),
    ...[...BLOCK_FORMATS, ...FLOAT_BLOCK_FORMATS].flatMap((weight) =>
      TABLES_OF_BLOCKS.filter(([, n]) => holdsColumns(weight, n)).map((size) => [weight, ...size] as const),
    ),
  ];
  const whole = tables.flatMap(([weight, v, n]) => ROW_COUNTS.map((t) => embedCase(weight, t, v, n)));
  // Aligned and not; the table's type the activations' and not.
  const parts = (["f32", "bf16", "f16", "q8"] as const).flatMap((weight) =>
    TABLE_PARTS.map((part) => embedCase(weight, 33, 9, weight === "q8" ? 64 : part.n, part)),
  );
  return [...whole, ...parts];
}

interface TablePart {
  readonly first: number;
  readonly total: number;
}

function embedCase(weight: WeightFormat, t: number, v: number, n: number, part?: TablePart): OpCase {
  const { first, total } = part ?? { first: 0, total: v };
  return opCase("embed", {
    fields: { t, v, n, weight, ...(part && { rows: `${first}+${v}/${total}` }) },
    weight,
    symbols: { t },
    attrs: { first, total },
    operands: { ids: each([T], (_, random) => random.integer(total + 1) - 1), table: normal([v, n]) },
    exact: true,
  });
}

function gatherRowsCases(): OpCase[] {
  return (
    [
      [1, 0],
      [1, 3],
      [9, 1],
      [17, 9],
      [65, 70],
    ] as const
  ).flatMap(([m, r]) =>
    [1, 7, 64].flatMap((n) =>
      [false, true].map((view) => {
        const x = normal([M, n]);
        return opCase("gather_rows", {
          fields: { m, r, n, x: view ? "strided" : "whole" },
          symbols: { m, r },
          operands: { x: view ? strided(x) : x, rows: each([R], (_, random) => random.integer(m)) },
          exact: true,
        });
      }),
    ),
  );
}

function scatterRowsCases(): OpCase[] {
  return (
    [
      [1, 0],
      [1, 1],
      [9, 4],
      [65, 17],
      [65, 65],
    ] as const
  ).flatMap(([m, f]) =>
    [1, 7, 64].flatMap((n) =>
      [false, true].map((view) => {
        const values = normal([F, n]);
        return opCase("scatter_rows", {
          fields: { m, f, n, values: view ? "strided" : "whole" },
          symbols: { m, f },
          operands: {
            x: normal([M, n]),
            values: view ? strided(values) : values,
            rows: { shape: [F], fill: (random, count) => random.permutation(m).slice(0, count) },
          },
          exact: true,
        });
      }),
    ),
  );
}

function sliceCases(): OpCase[] {
  return ROW_COUNTS.flatMap((m) =>
    (
      [
        [1, 0, 1],
        [7, 0, 3],
        [7, 4, 3],
        [96, 32, 32],
        [20, 0, 20],
      ] as const
    ).map(([k, start, length]) =>
      opCase("slice", {
        fields: { m, k, start, length },
        symbols: { m },
        attrs: { start, length },
        operands: { x: normal([M, k]) },
        exact: true,
      }),
    ),
  );
}

function mergeRowsCases(): OpCase[] {
  return ROW_COUNTS.flatMap((m) =>
    [1, 2, 4, 5].flatMap((factor) =>
      [1, 7, 16].map((k) =>
        opCase("merge_rows", {
          fields: { m, factor, k },
          symbols: { m },
          attrs: { factor },
          operands: { x: normal([scaleDim(M, factor), k]) },
          exact: true,
        }),
      ),
    ),
  );
}

export const rowCases = {
  embed: embedCases,
  gather_rows: gatherRowsCases,
  scatter_rows: scatterRowsCases,
  slice: sliceCases,
  merge_rows: mergeRowsCases,
} satisfies OpCases;
