/** rope */
import type { SymbolicDim } from "../../tensor/dims.ts";
import { M, type OpCase, type OpCases, opCase, ROW_COUNTS } from "../case.ts";
import { each, normal, strided } from "../operands.ts";

/** [numHeads, headDim, rotaryDim]: whole and partial rotation. */
const HEADS = [
  [1, 2, 2],
  [3, 8, 4],
  [2, 64, 64],
  [5, 96, 48],
  [2, 128, 64],
  [1, 14, 6],
] as const;

function ropeCases(): OpCase[] {
  return (["interleaved", "half"] as const).flatMap((pairs) =>
    HEADS.flatMap(([numHeads, headDim, rotaryDim]) =>
      ROW_COUNTS.flatMap((m) =>
        (["whole", "strided", "in-place"] as const).map((memory) => {
          const x = normal([M, numHeads * headDim]);
          return opCase("rope", {
            fields: { m, numHeads, headDim, rotaryDim, pairs, x: memory === "strided" ? memory : "whole" },
            symbols: { m },
            attrs: { numHeads, headDim, rotaryDim, pairs },
            operands: { x: memory === "strided" ? strided(x) : x, ...rotation(M, rotaryDim / 2) },
            inPlace: memory === "in-place",
          });
        }),
      ),
    ),
  );
}

/** cos and sin of unrelated angles: a kernel that mixes rows or columns of the tables shows. */
export function rotation(rows: SymbolicDim, half: number) {
  return {
    cos: each([rows, half], (index) => Math.cos(index * 0.7 + 0.1)),
    sin: each([rows, half], (index) => Math.sin(index * 0.7 + 0.1)),
  };
}

export const rotaryCases = {
  rope: ropeCases,
} satisfies OpCases;
