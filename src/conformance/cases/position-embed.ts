/** position_embed_bicubic */
import { BLOCK_FORMATS, holdsColumns, isGroupedFormat } from "../../tensor/storage.ts";
import {
  FLOAT_BLOCK_FORMATS,
  M,
  type OpCase,
  type OpCases,
  opCase,
  ROW_COUNTS,
  WEIGHT_DTYPES,
} from "../case.ts";
import { each, normal, uniform } from "../operands.ts";

/** [side, n] */
const TABLES = [
  [1, 5],
  [4, 8],
  [24, 65],
] as const;
const TABLES_OF_BLOCKS = [
  [1, 32],
  [7, 96],
  [4, 256],
] as const;

function positionEmbedCases(): OpCase[] {
  const attrsOf = (side: number) => ({ side });
  const inside = [...WEIGHT_DTYPES, ...BLOCK_FORMATS, ...FLOAT_BLOCK_FORMATS].flatMap((weight) =>
    ROW_COUNTS.flatMap((m) =>
      (isGroupedFormat(weight) ? TABLES_OF_BLOCKS.filter(([, n]) => holdsColumns(weight, n)) : TABLES).map(
        ([side, n]) =>
          opCase("position_embed_bicubic", {
            fields: { m, side, n, weight, coords: "inside" },
            weight,
            symbols: { m },
            attrs: attrsOf(side),
            operands: { table: normal([side * side, n]), coords: uniform([M, 2], -0.5, side - 0.5) },
          }),
      ),
    ),
  );
  const coords = {
    "at the cells": each([M, 2], (_, random) => random.integer(6)),
    "past the border": uniform([M, 2], -3, 9),
    "between two cells": each([M, 2], (_, random) => random.integer(6) + 0.5),
  };
  const places = Object.entries(coords).map(([name, operand]) =>
    opCase("position_embed_bicubic", {
      fields: { m: 33, side: 6, n: 12, coords: name },
      symbols: { m: 33 },
      attrs: attrsOf(6),
      operands: { table: normal([36, 12]), coords: operand },
    }),
  );
  return [...inside, ...places];
}

export const positionCases = {
  position_embed_bicubic: positionEmbedCases,
} satisfies OpCases;
