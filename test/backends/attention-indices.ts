/** Indices of attention_weights that lead outside of what they index. */
import type { Engine } from "../../src/backends/backend.ts";
import { compileGraph } from "../../src/compiler/compile.ts";
import { createGraphBuilder } from "../../src/graph/builder.ts";

/** Two sequences of up to 4 keys in pages of 2, of which the cache has 3; one head of 4 columns. */
const ATTRS = { numHeads: 1, numKvHeads: 1, headDim: 4, pageSize: 2, scale: 1 };

export const BAD_ROWS: readonly (readonly [row: { sequence: number; length: number }, what: RegExp])[] = [
  [{ sequence: 2, length: 1 }, /sequence/],
  [{ sequence: -1, length: 1 }, /sequence/],
  [{ sequence: 0, length: 5 }, /length/],
  [{ sequence: 0, length: -1 }, /length/],
  // The second page of the second sequence is none.
  [{ sequence: 1, length: 3 }, /page|blockTable/],
];

/** Runs the op for one row. @returns the weights */
export async function weightsOf(
  engine: Engine,
  { sequence, length }: { sequence: number; length: number },
): Promise<Float32Array> {
  const builder = createGraphBuilder({ name: "attending", activationDType: "f32", weightDType: () => "f32" });
  const weights = builder.attention_weights(
    {
      q: builder.input("q", [1, 4], "f32"),
      cache: builder.state("cache", [3, 16]),
      blockTable: builder.input("blockTable", [2, 2], "i32"),
      sequences: builder.input("sequences", [1], "i32"),
      lengths: builder.input("lengths", [1], "i32"),
    },
    ATTRS,
  );
  const executable = engine.load(compileGraph(builder.finish({ weights })), new Map());
  const cache = engine.allocate("f32", 3, 16);
  const found = new Float32Array(4);
  const buffers = {
    q: new Float32Array(4),
    cache,
    blockTable: Int32Array.of(0, 2, 1, 3),
    sequences: Int32Array.of(sequence),
    lengths: Int32Array.of(length),
    weights: found,
  };
  try {
    await engine.run(executable, { symbols: {}, buffers });
    return found;
  } finally {
    engine.free(cache);
  }
}
