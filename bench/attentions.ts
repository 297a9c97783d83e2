/** Attention as programs of one op, checked before they are handed out. */
import type { CacheDType } from "../src/tensor/dtype.ts";
import { checkResult, noise, type OpenEngine, oneOp, type TimedKernel } from "./kernels.ts";

export interface VisionShape {
  readonly patches: number;
  readonly numHeads: number;
  readonly headDim: number;
}

/** Of the vision tower over a picture's patches. @throws when the result is wrong. */
export async function visionAttention(shape: VisionShape, open?: OpenEngine): Promise<TimedKernel> {
  const { patches, numHeads, headDim } = shape;
  const cols = numHeads * headDim;
  const [q, k, v] = [noise(patches * cols, 3), noise(patches * cols, 5), noise(patches * cols, 7)];
  const scale = headDim ** -0.5;
  const kernel = await oneOp(
    (builder) => {
      const rows = (name: string) => builder.input(name, [patches, cols], "f32");
      const cuSeqlens = builder.input("cuSeqlens", [2], "i32");
      const operands = { q: rows("q"), k: rows("k"), v: rows("v"), cuSeqlens };
      return builder.attention_varlen(operands, { numHeads, headDim, scale });
    },
    {
      q: { data: q, cols },
      k: { data: k, cols },
      v: { data: v, cols },
      cuSeqlens: { data: Int32Array.of(0, patches), cols: 1 },
    },
    {},
    [patches, cols],
    { open },
  );
  await kernel.run();
  const at = (data: Float32Array, rowIndex: number, d: number) => data[rowIndex * cols + d] as number;
  const expected = [0, 63, cols - 1].map((column): [number, number] => {
    const [query, head] = [patches - 3, Math.floor(column / headDim) * headDim];
    const weights = Array.from({ length: patches }, (_, key) => {
      let score = 0;
      for (let d = 0; d < headDim; d++) score += at(q, query, head + d) * at(k, key, head + d);
      return Math.exp(score * scale);
    });
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    const mixed = weights.reduce((sum, weight, key) => sum + weight * at(v, key, column), 0);
    return [query * cols + column, mixed / total];
  });
  const name = `vision ${patches} x ${numHeads} x ${headDim}`;
  checkResult(name, await kernel.engine.read(kernel.output), expected);
  return { ...kernel, name, operations: 4 * patches * patches * cols };
}

export interface PagedShape {
  readonly queries: number;
  readonly context: number;
  readonly numHeads: number;
  readonly numKvHeads: number;
  readonly headDim: number;
  readonly pageSize: number;
  /** Of the cache; f32 if it is left out. */
  readonly kvCacheDType?: "f32" | CacheDType | undefined;
  /** Pages that the cache has, in turns: few of them stay in a core's caches. As many as the context needs if it is left out. */
  readonly pages?: number | undefined;
}

/**
 * Of the decoder over a paged cache. Its results are judged by the conformance tests; here every value of V is 1, so
 * every output must be. @throws when one is not.
 */
export async function pagedAttention(shape: PagedShape, open?: OpenEngine): Promise<TimedKernel> {
  const { queries, context, kvCacheDType, pages: given, ...attrs } = shape;
  const { numHeads, numKvHeads, headDim, pageSize } = attrs;
  const blocks = context / pageSize;
  const pages = given ?? blocks;
  const [cols, page] = [numHeads * headDim, numKvHeads * pageSize * headDim];
  const cache = noise(pages * 2 * page, 3);
  for (let index = 0; index < pages; index++) cache.fill(1, (2 * index + 1) * page, (2 * index + 2) * page);
  const kernel = await oneOp(
    (builder) =>
      builder.attention_paged(
        {
          q: builder.input("q", [queries, cols], "f32"),
          cache: builder.state("cache", [pages, 2 * page]),
          blockTable: builder.input("blockTable", [1, blocks], "i32"),
          cuSeqlens: builder.input("cuSeqlens", [2], "i32"),
          contextLens: builder.input("contextLens", [1], "i32"),
        },
        { ...attrs, scale: headDim ** -0.5 },
      ),
    {
      q: { data: noise(queries * cols, 5), cols },
      cache: { data: cache, cols: 2 * page, isState: true },
      blockTable: {
        data: Int32Array.from({ length: blocks }, (_, index) => pages - 1 - (index % pages)),
        cols: blocks,
      },
      cuSeqlens: { data: Int32Array.of(0, queries), cols: 1 },
      contextLens: { data: Int32Array.of(context), cols: 1 },
    },
    {},
    [queries, cols],
    { open, kvCacheDType },
  );
  await kernel.run();
  const where = given === undefined ? "" : `, ${given} pages`;
  const name = `decoder ${queries} of ${context}, cache ${kvCacheDType ?? "f32"}${where}`;
  const last = queries * cols - 1;
  checkResult(name, await kernel.engine.read(kernel.output), [
    [0, 1],
    [last, 1],
  ]);
  const pairs = (queries * (2 * context - queries + 1)) / 2;
  return { ...kernel, name, operations: 4 * pairs * cols };
}
