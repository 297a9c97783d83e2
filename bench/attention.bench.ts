/** Attention: of the vision tower over a picture's patches, and of the decoder over a paged cache. */
import { arithmeticCeiling, checkResult, fastest, noise, oneOp, row } from "./kernels.ts";

const ceiling = await arithmeticCeiling();
console.log(row("wasm, one thread", "ms", "GFLOP/s", "of peak"));
console.log(row("peak (multiply-adds in registers)", "", ceiling, ""));
for (const patches of [1024, 2744]) await vision(patches, 16, 64);
for (const [queries, context] of [
  [512, 512],
  [1, 2048],
] as const) {
  await decoder(queries, context, { numHeads: 16, numKvHeads: 8, headDim: 128, pageSize: 16 });
}

async function vision(patches: number, numHeads: number, headDim: number) {
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
  report(name, await fastest(name, kernel.run, 3), 4 * patches * patches * cols);
  kernel.engine.dispose();
}

interface PagedShape {
  readonly numHeads: number;
  readonly numKvHeads: number;
  readonly headDim: number;
  readonly pageSize: number;
}

/** Its results are judged by the conformance tests; here every value of V is 1, so every output must be. */
async function decoder(queries: number, context: number, shape: PagedShape) {
  const { numHeads, numKvHeads, headDim, pageSize } = shape;
  const pages = context / pageSize;
  const [cols, page] = [numHeads * headDim, numKvHeads * pageSize * headDim];
  const cache = noise(pages * 2 * page, 3);
  for (let index = 0; index < pages; index++) cache.fill(1, (2 * index + 1) * page, (2 * index + 2) * page);
  const kernel = await oneOp(
    (builder) =>
      builder.attention_paged(
        {
          q: builder.input("q", [queries, cols], "f32"),
          cache: builder.state("cache", [pages, 2 * page]),
          blockTable: builder.input("blockTable", [1, pages], "i32"),
          cuSeqlens: builder.input("cuSeqlens", [2], "i32"),
          contextLens: builder.input("contextLens", [1], "i32"),
        },
        { ...shape, scale: headDim ** -0.5 },
      ),
    {
      q: { data: noise(queries * cols, 5), cols },
      cache: { data: cache, cols: 2 * page },
      blockTable: { data: Int32Array.from({ length: pages }, (_, index) => pages - 1 - index), cols: pages },
      cuSeqlens: { data: Int32Array.of(0, queries), cols: 1 },
      contextLens: { data: Int32Array.of(context), cols: 1 },
    },
    {},
    [queries, cols],
  );
  await kernel.run();
  const name = `decoder ${queries} of ${context}, ${numHeads}/${numKvHeads} x ${headDim}`;
  const last = queries * cols - 1;
  checkResult(name, await kernel.engine.read(kernel.output), [
    [0, 1],
    [last, 1],
  ]);
  const pairs = (queries * (2 * context - queries + 1)) / 2;
  report(name, await fastest(name, kernel.run, 5), 4 * pairs * cols);
  kernel.engine.dispose();
}

function report(name: string, seconds: number, operations: number) {
  const speed = operations / seconds / 1e9;
  console.log(row(name, seconds * 1000, speed, `${((100 * speed) / ceiling).toFixed(0)} %`));
}
