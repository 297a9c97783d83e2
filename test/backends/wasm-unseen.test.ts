/**
 * What a row does not see does not change it: behind it in its sequence there may be NaN and infinities, of another's broken
 * picture or beyond a type's range. The rows that see them are what the reference makes of them.
 */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Engine } from "../../src/backends/backend.ts";
import { referenceBackend } from "../../src/backends/reference/backend.ts";
import { wasmBackend } from "../../src/backends/wasm/backend.ts";
import { WasmEngine } from "../../src/backends/wasm/engine.ts";
import { instantiateKernels } from "../../src/backends/wasm/kernels.ts";
import { VARIANTS } from "../../src/backends/wasm/variants.ts";
import { caseName, type OpCase, opCase, T } from "../../src/conformance/case.ts";
import { runCase } from "../../src/conformance/harness.ts";
import { fixed } from "../../src/conformance/operands.ts";
import { Random } from "../../src/conformance/random.ts";
import { CACHE_DTYPES, type CacheDType } from "../../src/tensor/dtype.ts";
import { holdsColumns } from "../../src/tensor/storage.ts";

const VARIANTS_HERE = VARIANTS.filter(({ probe, threads }) => !threads && WebAssembly.validate(probe));

type Shape = readonly [queries: number, context: number, kvHeads: number, group: number, headDim: number];

/** Few rows, tiles, blocks of 96 keys that some rows of a tile see nothing of, odd heads, short pages. */
const SHAPES: readonly Shape[] = [
  [2, 2, 1, 1, 32],
  [3, 20, 2, 2, 64],
  [4, 98, 1, 1, 32],
  [5, 97, 2, 1, 20],
  [9, 9, 1, 2, 64],
  [17, 113, 2, 1, 7],
  [40, 200, 1, 2, 32],
  [100, 100, 2, 2, 21],
  [130, 300, 1, 3, 64],
  [200, 200, 1, 1, 128],
];
const PAGE = 5;

/** One sequence in pages one after another. @param spoilt positions whose keys or values are not finite */
function pagedCase(
  [queries, context, kvHeads, group, headDim]: Shape,
  cache: CacheDType | undefined,
  spoilt: ReadonlyMap<number, readonly [plane: "k" | "v", value: number]>,
): OpCase {
  const pages = Math.ceil(context / PAGE);
  const random = new Random(`${queries}/${context}`);
  const values = new Float64Array(pages * 2 * kvHeads * PAGE * headDim);
  for (let page = 0; page < pages; page++) {
    for (let plane = 0; plane < 2 * kvHeads; plane++) {
      for (let place = 0; place < PAGE; place++) {
        const at = ((page * 2 * kvHeads + plane) * PAGE + place) * headDim;
        for (let d = 0; d < headDim; d++) values[at + d] = random.normal();
        const [which, value] = spoilt.get(page * PAGE + place) ?? [];
        // Some of its dimensions, of all heads.
        const isOfPlane = which === (plane < kvHeads ? "k" : "v");
        if (isOfPlane && value !== undefined) for (let d = 0; d < headDim; d += 3) values[at + d] = value;
      }
    }
  }
  const numHeads = kvHeads * group;
  return opCase("attention_paged", {
    fields: { queries, context, kvHeads, group, headDim, ...(cache && { cache }) },
    cache,
    symbols: { t: queries },
    attrs: { numHeads, numKvHeads: kvHeads, headDim, pageSize: PAGE, scale: headDim ** -0.5 },
    operands: {
      q: fixed(
        [T, numHeads * headDim],
        Array.from({ length: queries * numHeads * headDim }, () => random.normal()),
      ),
      cache: fixed([pages, 2 * kvHeads * PAGE * headDim], values),
      blockTable: fixed(
        [1, pages],
        Array.from({ length: pages }, (_, page) => page),
      ),
      cuSeqlens: fixed([2], [0, queries]),
      contextLens: fixed([1], [context]),
    },
  });
}

const outputOf = async (engine: Engine, item: OpCase) => {
  const { outputs, strayWrites } = await runCase(engine, item, "f32");
  assert.equal(strayWrites, [], caseName(item));
  return outputs.y as Float32Array;
};

for (const cache of [undefined, ...CACHE_DTYPES]) {
  test(`a cache in ${cache ?? "f32"}: rows have the bits of a cache that is finite up to its end`, async () => {
    const reference = await referenceBackend.open();
    for (const variant of VARIANTS_HERE) {
      const engine = new WasmEngine(wasmBackend, await instantiateKernels(variant));
      for (const shape of SHAPES) {
        const [queries, context, kvHeads, group, headDim] = shape;
        if (cache && !holdsColumns(cache, headDim)) continue;
        const finite = await outputOf(engine, pagedCase(shape, cache, new Map()));
        const columns = kvHeads * group * headDim;
        for (const [plane, value] of [
          ["v", Number.NaN],
          ["v", Number.POSITIVE_INFINITY],
          ["v", Number.NEGATIVE_INFINITY],
          ["k", Number.NaN],
        ] as const) {
          for (const first of new Set([1, queries >> 1, queries - 1])) {
            const position = context - queries + first;
            const item = pagedCase(shape, cache, new Map([[position, [plane, value]]]));
            const found = await outputOf(engine, item);
            const expected = await outputOf(reference, item);
            const what = `${variant.name}, ${caseName(item)}, ${plane} of ${position} is ${value}`;
            for (let index = 0; index < found.length; index++) {
              const isSeen = Math.floor(index / columns) >= first;
              const [is, should] = [found[index] as number, (isSeen ? expected : finite)[index] as number];
              const isRight =
                Object.is(is, should) || (isSeen && Number.isFinite(should) && Math.abs(is - should) < 1e-3);
              assert.ok(isRight, `${what}: row ${Math.floor(index / columns)} has ${is}, expected ${should}`);
            }
          }
        }
      }
      engine.dispose();
    }
    reference.dispose();
  });
}

/** Queries of ones over keys of which those before `first` have a score of -Infinity. */
function hiddenCase(queries: number, headDim: number, first: number, cache: CacheDType | undefined): OpCase {
  const values = new Float64Array(2 * queries * headDim).fill(1);
  for (let key = 0; key < first; key++) values[key * headDim] = Number.NEGATIVE_INFINITY;
  return opCase("attention_paged", {
    fields: { queries, headDim, first, ...(cache && { cache }) },
    cache,
    symbols: { t: queries },
    attrs: { numHeads: 1, numKvHeads: 1, headDim, pageSize: queries, scale: 1 },
    operands: {
      q: fixed([T, headDim], new Array(queries * headDim).fill(1)),
      cache: fixed([1, 2 * queries * headDim], values),
      blockTable: fixed([1, 1], [0]),
      cuSeqlens: fixed([2], [0, queries]),
      contextLens: fixed([1], [queries]),
    },
  });
}

for (const cache of [undefined, ...CACHE_DTYPES]) {
  test(`a cache in ${cache ?? "f32"}: a row that sees no score above -Infinity is NaN`, async () => {
    const reference = await referenceBackend.open();
    for (const variant of VARIANTS_HERE) {
      const engine = new WasmEngine(wasmBackend, await instantiateKernels(variant));
      for (const [queries, first] of [
        [1, 1],
        [3, 2],
        [130, 110],
      ] as const) {
        const item = hiddenCase(queries, 32, first, cache);
        const [found, expected] = [await outputOf(engine, item), await outputOf(reference, item)];
        const rows = (values: Float32Array) => Array.from({ length: queries }, (_, row) => values[row * 32]);
        assert.equal(rows(found).map(Number.isNaN), rows(expected).map(Number.isNaN), caseName(item));
        assert.ok(Number.isNaN(found[0]), caseName(item));
      }
      engine.dispose();
    }
    reference.dispose();
  });
}

test.run();
