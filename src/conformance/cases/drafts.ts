/** accept_drafts, follow_drafts: integers and tables are moved, never changed. */
import { symbolDim } from "../../tensor/dims.ts";
import { M, type OpCase, type OpCases, opCase } from "../case.ts";
import { each, fixed, normal } from "../operands.ts";

const D = symbolDim("d");
const P = symbolDim("p");
const R = symbolDim("r");
const integers = (random: { integer(below: number): number }) => random.integer(2 ** 31 - 1);

/** Slices of so many rows, of which as many guesses are right; the last row of a slice has none. */
const SLICES: Readonly<Record<string, readonly (readonly [rows: number, right: number])[]>> = {
  none: [],
  one: [[1, 0]],
  "all right": [[4, 3]],
  "all wrong": [[4, 0]],
  mixed: [
    [4, 1],
    [1, 0],
    [9, 8],
    [2, 0],
    [3, 2],
  ],
  three: [
    [2, 1],
    [3, 0],
    [1, 0],
  ],
  many: Array.from({ length: 300 }, (_, index) => [1 + (index % 4), index % (1 + (index % 4))] as const),
};

function acceptCases(): OpCase[] {
  return Object.entries(SLICES).flatMap(([name, slices]) =>
    (["tokens", "nothing to choose"] as const).map((what) => {
      const tokens: number[] = [];
      const guesses: number[] = [];
      const firsts: number[] = [];
      for (const [rows, right] of slices) {
        firsts.push(tokens.length);
        for (let row = 0; row < rows; row++) {
          const isLast = row === rows - 1;
          const token = what === "tokens" ? 7 * row : -1;
          tokens.push(token);
          guesses.push(isLast ? -1 : row < right ? 7 * row : 7 * row + 1);
        }
      }
      const [m, d] = [tokens.length, firsts.length];
      return opCase("accept_drafts", {
        fields: { slices: name, chosen: what },
        symbols: { m, d },
        operands: {
          tokens: fixed([M], tokens),
          guesses: fixed([M], guesses),
          firsts: fixed([D], firsts),
          rowOf: each([M], (_, random) => integers(random)),
          choicesOf: each([M, 2], (_, random) => integers(random) - 2 ** 30),
        },
        exact: true,
      });
    }),
  );
}

function followCases(): OpCase[] {
  return (
    [
      [1, 1, 0],
      [1, 1, 1],
      [7, 3, 2],
      [40, 9, 9],
      [600, 300, 290],
    ] as const
  ).flatMap(([m, p, r]) =>
    [1, 4, 33].map((h) =>
      opCase("follow_drafts", {
        fields: { m, p, r, h },
        symbols: { m, p, r },
        operands: {
          of: each([R], (_, random) => random.integer(p)),
          drafts: each([P], (_, random) => random.integer(1000) - 1),
          chosen: each([P], (_, random) => random.integer(m)),
          slotOf: each([M], (_, random) => random.integer(1000) - 1),
          lengthOf: each([M], (_, random) => integers(random)),
          cosOf: normal([M, h]),
          sinOf: normal([M, h]),
          choicesOf: each([M, 2], (_, random) => integers(random) - 2 ** 30),
        },
        exact: true,
      }),
    ),
  );
}

export const draftsCases = {
  accept_drafts: acceptCases,
  follow_drafts: followCases,
} satisfies OpCases;
