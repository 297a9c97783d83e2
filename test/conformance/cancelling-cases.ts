/** Cases whose sums are zero, so that what is computed is what rounding left, in the order that it was done. */
import { M, type OpCase, type Operand, opCase, S, T } from "../../src/conformance/case.ts";
import { fixed, normal } from "../../src/conformance/operands.ts";
import type { Random } from "../../src/conformance/random.ts";
import { offsetDim } from "../../src/tensor/dims.ts";
import type { WeightFormat } from "../../src/tensor/storage.ts";

/** Rows whose second half is the first, mirrored and times `sign`. */
function mirrored(shape: Operand["shape"], cols: number, sign: number): Operand {
  const fill = (random: Random, count: number) => {
    const values = new Float64Array(count);
    for (let row = 0; row < count; row += cols) {
      for (let col = 0; col < cols / 2; col++) {
        values[row + col] = random.normal();
        values[row + cols - 1 - col] = sign * (values[row + col] as number);
      }
    }
    return values;
  };
  return { shape, fill };
}

/** linear around the numbers of rows where kernels change, with a k that is cut for few rows and for many. */
export function cancellingProducts(): OpCase[] {
  const weights: readonly WeightFormat[] = ["f32", "bf16", "q8", "q4"];
  return weights.flatMap((weight) =>
    [2, 9, 65, 130].map((m) => {
      const [n, k] = [24, 2048];
      return opCase("linear", {
        fields: { m, n, k, weight, sums: "zero" },
        weight,
        symbols: { m },
        operands: { x: mirrored([M, k], k, 1), w: mirrored([n, k], k, -1) },
      });
    }),
  );
}

/** attention_paged: the last query of each sequence sees as much of every value as of its negative. */
export function cancellingAttention(): OpCase[] {
  const [numHeads, numKvHeads, headDim, pageSize, context] = [4, 2, 64, 16, 640];
  const pages = context / pageSize;
  const elements = 2 * numKvHeads * pageSize * headDim;
  const cache = (random: Random, count: number) => {
    const values = new Float64Array(count);
    const half = numKvHeads * pageSize * headDim;
    const place = (kind: number, position: number, head: number, column: number) =>
      Math.floor(position / pageSize) * elements +
      kind * half +
      (head * pageSize + (position % pageSize)) * headDim +
      column;
    for (const kind of [0, 1]) {
      for (let position = 0; position < context / 2; position++) {
        for (let head = 0; head < numKvHeads; head++) {
          for (let column = 0; column < headDim; column++) {
            const value = random.normal();
            values[place(kind, position, head, column)] = value;
            values[place(kind, context - 1 - position, head, column)] = kind === 0 ? value : -value;
          }
        }
      }
    }
    return values;
  };
  return [new Array<number>(8).fill(1), [40], [1, 1, 33]].map((queries) => {
    const s = queries.length;
    const t = queries.reduce((sum, count) => sum + count, 0);
    const bounds = [0];
    for (const count of queries) bounds.push((bounds.at(-1) as number) + count);
    const table = Array.from({ length: s * pages }, (_, index) => index % pages);
    return opCase("attention_paged", {
      fields: { queries: queries.join("+"), context, sums: "zero" },
      symbols: { t, s, pages, blocks: pages },
      attrs: { numHeads, numKvHeads, headDim, pageSize, scale: headDim ** -0.5 },
      operands: {
        q: normal([T, numHeads * headDim]),
        cache: { shape: [pages, elements], fill: cache },
        blockTable: fixed([S, pages], table),
        cuSeqlens: fixed([offsetDim(S, 1)], bounds),
        contextLens: fixed([S], new Array<number>(s).fill(context)),
      },
    });
  });
}
