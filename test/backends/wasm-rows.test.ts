/**
 * One row, one result: whatever is computed beside it, however its rows are cut into chunks and the work into parts, and
 * however its pages lie, a row has the same bits.
 */
import type { Arbitrary } from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Engine } from "../../src/backends/backend.ts";
import { createWasmBackend, wasmBackend } from "../../src/backends/wasm/backend.ts";
import type { KernelTasks } from "../../src/backends/wasm/kernel-tasks.ts";
import { caseName, M, type OpCase, opCase, T } from "../../src/conformance/case.ts";
import { runCase } from "../../src/conformance/harness.ts";
import { each, fixed, normal } from "../../src/conformance/operands.ts";
import { Random } from "../../src/conformance/random.ts";
import { CACHE_DTYPES, type CacheDType } from "../../src/tensor/dtype.ts";
import { blockCols, isBlockFormat, WEIGHT_FORMATS, type WeightFormat } from "../../src/tensor/storage.ts";
import { startText } from "../../src/workers/node-threads.node.ts";
import { startWorker } from "../../src/workers/worker-tasks.ts";
import { choose, chosen, definitionOf } from "../conformance/chosen-rows.ts";
import { fc } from "../property.ts";
import { adverseEngine, usualEngine } from "./wasm-adverse.ts";
import { wasmCases } from "./wasm-sample.ts";

const start = startText(async () => (await import("../../src/kernel-worker.ts?text")).default);
const threaded = createWasmBackend({
  startWorker: () => startWorker<KernelTasks>(start, GLIMT_VERSION),
  usualThreads: () => 2,
});

/** The engine that computes all rows at once, and one of the same variant that computes some. */
const PAIRS: readonly (readonly [string, () => Promise<readonly [Engine, Engine]>])[] = [
  ["one thread", async () => [await wasmBackend.open(), await wasmBackend.open()]],
  ["two threads", async () => [await wasmBackend.open(), await threaded.open({ threads: 2 })]],
  ["parts reversed", async () => [await usualEngine(), await adverseEngine("reversed", 3)]],
  ["parts shuffled", async () => [await usualEngine(), await adverseEngine("shuffled", 7)]],
];
const RUNS = 24;

const times = (count: number) => Array.from({ length: count }, (_, index) => index);

function property<T>(
  op: string,
  values: Arbitrary<T>,
  hold: (all: Engine, some: Engine, value: T) => Promise<void>,
) {
  for (const [name, open] of PAIRS) {
    test(`${op}, ${name}: a row has the same bits in all company`, async () => {
      const [all, some] = await open();
      await fc.assert(
        fc.asyncProperty(values, (value) => hold(all, some, value)),
        { numRuns: RUNS },
      );
      for (const engine of [all, some]) engine.dispose();
    });
  }
}

async function result(engine: Engine, item: OpCase): Promise<ArrayLike<number>> {
  return (await runCase(engine, item, "f32")).outputs.y as ArrayLike<number>;
}

function assertSame(found: ArrayLike<number>, expected: readonly number[], message: string) {
  const differing = expected.findIndex((value, index) => !Object.is(value, found[index]));
  assert.ok(differing < 0 && found.length === expected.length, `${message}: element ${differing}`);
}

/** Some of the rows, in any order, are what they are among all. */
async function holdsForRows(
  all: Engine,
  some: Engine,
  item: OpCase,
  count: number,
  picks: readonly number[],
) {
  const rows = picks.map((pick) => pick % count);
  const expected = chosen(await result(all, item), count, rows);
  const found = await result(some, choose(item, definitionOf(item.op).rowwise ?? [], rows));
  assertSame(found, expected, `rows ${rows.join()} of ${count}`);
}

test("all cases: two threads have the bits of one", async () => {
  const [one, two] = [await wasmBackend.open(), await threaded.open({ threads: 2 })];
  for (const item of wasmCases()) {
    const expected = (await runCase(one, item, "f32")).outputs;
    const found = (await runCase(two, item, "f32")).outputs;
    for (const [name, values] of Object.entries(expected)) {
      assertSame(found[name] ?? [], Array.from(values), `${caseName(item)}: ${name}`);
    }
  }
  for (const engine of [one, two]) engine.dispose();
});

/** In all ways that weights are stored. */
const weights = fc.constantFrom(...WEIGHT_FORMATS.filter((format) => format !== "fp8"));
/** Columns that a format can hold, about as many. */
const held = (weight: WeightFormat, cols: number) =>
  isBlockFormat(weight) ? Math.ceil(cols / blockCols(weight)) * blockCols(weight) : cols;
const size = (max: number) => fc.integer({ min: 1, max });
/** Few rows take other ways through the kernels than many. */
const picks = fc.oneof(
  ...[1, 8, 100].map((maxLength) => fc.array(fc.nat(1000), { minLength: 1, maxLength })),
);

property(
  "linear_bias",
  fc.record({
    m: fc.oneof(size(20), size(60), size(180)),
    n: size(150),
    k: size(900),
    weight: weights,
    picks,
  }),
  async (all, some, { m, n, k: about, weight, picks }) => {
    const k = held(weight, about);
    const operands = { x: normal([M, k]), w: normal([n, k]), bias: normal([n]) };
    const item = opCase("linear_bias", { fields: { m, n, k }, symbols: { m }, weight, operands });
    await holdsForRows(all, some, item, m, picks);
  },
);

property(
  "experts",
  fc.record({ t: size(60), cols: fc.tuple(size(70), size(70)), weight: weights, picks }),
  async (all, some, { t, cols, weight, picks }) => {
    // Where one of the two does not fit the format, the other is in it alone.
    const [n, width] = cols.map((about) => (about % 3 ? held(weight, about) : about)) as [number, number];
    const item = opCase("experts", {
      fields: { t, n, width },
      symbols: { t },
      attrs: { numExperts: 5, topK: 2, width, firstExpert: 0, totalExperts: 5 },
      weight,
      operands: {
        x: normal([T, n]),
        experts: each([T, 2], (_, random) => Math.floor(5 * random.uniform())),
        weights: normal([T, 2]),
        gateUp: normal([5 * 2 * width, n]),
        down: normal([5 * n, width]),
      },
    });
    await holdsForRows(all, some, item, t, picks);
  },
);

const runs = fc.array(fc.nat(250), { minLength: 1, maxLength: 4 });
const heads = fc.record({ kvHeads: size(3), group: fc.constantFrom(1, 2, 5), headDim: size(40) });

property("attention_varlen", fc.record({ runs, heads }), async (all, some, { runs, heads }) => {
  const { kvHeads: numHeads, headDim } = heads;
  const cols = numHeads * headDim;
  const bounds = [
    0,
    ...runs.map((_, index) => runs.slice(0, index + 1).reduce((sum, rows) => sum + rows, 0)),
  ];
  const m = bounds.at(-1) as number;
  const item = opCase("attention_varlen", {
    fields: { runs: runs.join("+"), numHeads, headDim },
    symbols: { m },
    attrs: { numHeads, headDim, scale: headDim ** -0.5 },
    operands: {
      q: normal([M, cols]),
      k: normal([M, cols]),
      v: normal([M, cols]),
      cuSeqlens: fixed([bounds.length], bounds),
    },
  });
  const values = await result(all, item);
  for (const [index, rows] of runs.entries()) {
    const own = times(rows).map((row) => (bounds[index] as number) + row);
    const alone = choose(item, ["q", "k", "v"], own);
    const operands = { ...alone.operands, cuSeqlens: fixed([2], [0, rows]) };
    assertSame(
      await result(some, { ...alone, symbols: { m: rows }, operands }),
      chosen(values, m, own),
      `run ${index}`,
    );
  }
});

/** The last `queries` of the first `context` tokens of a text. */
interface Chunk {
  readonly text: number;
  readonly context: number;
  readonly queries: number;
}

interface PagedShape {
  readonly kvHeads: number;
  readonly group: number;
  readonly headDim: number;
}

/** Chunks in one batch, with texts' tokens in pages of a size in some order. */
function pagedCase(
  chunks: readonly Chunk[],
  shape: PagedShape,
  pageSize: number,
  order: Random,
  stored?: CacheDType,
): OpCase {
  const { kvHeads, group, headDim } = shape;
  const pagesOf = chunks.map(({ context }) => Math.ceil(context / pageSize));
  const pages = pagesOf.reduce((sum, count) => sum + count, 0);
  const width = Math.max(1, ...pagesOf);
  const places = order.permutation(pages);
  const pageFloats = 2 * kvHeads * pageSize * headDim;
  // Places that no sequence fills hold what an earlier one left there, which is nobody's business.
  const cache = new Float64Array(pages * pageFloats).fill(Number.NaN);
  const table = new Float64Array(chunks.length * width);
  const queries: number[] = [];
  const tokenOf = (text: number, position: number, what: string, count: number) => {
    const random = new Random(`${text} ${position} ${what}`);
    return times(count).map(() => random.normal());
  };
  for (const [index, { text, context, queries: count }] of chunks.entries()) {
    for (let position = 0; position < context; position++) {
      const inPage = position % pageSize;
      if (inPage === 0) table[index * width + position / pageSize] = places.pop() as number;
      const page = table[index * width + Math.floor(position / pageSize)] as number;
      const values = tokenOf(text, position, "cache", 2 * kvHeads * headDim);
      for (let head = 0; head < 2 * kvHeads; head++) {
        const at = page * pageFloats + (head * pageSize + inPage) * headDim;
        cache.set(values.slice(head * headDim, (head + 1) * headDim), at);
      }
      if (position >= context - count)
        queries.push(...tokenOf(text, position, "q", kvHeads * group * headDim));
    }
  }
  const bounds = [
    0,
    ...chunks.map((_, index) => chunks.slice(0, index + 1).reduce((sum, c) => sum + c.queries, 0)),
  ];
  const t = bounds.at(-1) as number;
  return opCase("attention_paged", {
    fields: { chunks: chunks.map(({ context, queries }) => `${queries}/${context}`).join("+"), pageSize },
    cache: stored,
    symbols: { t },
    attrs: { numHeads: kvHeads * group, numKvHeads: kvHeads, headDim, pageSize, scale: headDim ** -0.5 },
    operands: {
      q: fixed([T, kvHeads * group * headDim], queries),
      cache: fixed([pages, pageFloats], cache),
      blockTable: fixed([chunks.length, width], table),
      cuSeqlens: fixed([bounds.length], bounds),
      contextLens: fixed(
        [chunks.length],
        chunks.map(({ context }) => context),
      ),
    },
  });
}

property(
  "attention_paged",
  fc.record({
    texts: fc.array(size(220), { minLength: 1, maxLength: 3 }),
    heads,
    /** Of the other run: where texts are cut, and its pages. */
    cuts: fc.array(size(220), { maxLength: 6 }),
    pageSizes: fc.tuple(size(20), size(20)),
    stored: fc.constantFrom(undefined, ...CACHE_DTYPES),
    seed: fc.nat(),
  }),
  async (all, some, { texts, heads: about, cuts, pageSizes, stored, seed }) => {
    const heads = { ...about, headDim: stored ? held(stored, about.headDim) : about.headDim };
    const whole = texts.map((context, text) => ({ text, context, queries: context }));
    const order = new Random(`${seed}`);
    const rows = await result(all, pagedCase(whole, heads, pageSizes[0], order, stored));
    assert.ok(Array.from(rows).every(Number.isFinite), "no more than the sequence's own places is read");
    const columns = heads.kvHeads * heads.group * heads.headDim;
    const pieces = texts.flatMap((context, text) => {
      const ends = [...new Set([...cuts.filter((cut) => cut < context), context])].sort((a, b) => a - b);
      return ends.map((end, index) => ({ text, context: end, queries: end - (ends[index - 1] ?? 0) }));
    });
    const shuffled = order.permutation(pieces.length).map((index) => pieces[index] as Chunk);
    const found = await result(some, pagedCase(shuffled, heads, pageSizes[1], order, stored));
    let row = 0;
    for (const { text, context, queries } of shuffled) {
      const before = texts.slice(0, text).reduce((sum, length) => sum + length, 0);
      const own = times(queries).map((query) => before + context - queries + query);
      const expected = own.flatMap((at) =>
        Array.from({ length: columns }, (_, c) => rows[at * columns + c] as number),
      );
      const part = Array.from(
        { length: expected.length },
        (_, index) => found[row * columns + index] as number,
      );
      assertSame(part, expected, `text ${text}, ${queries} queries of ${context}`);
      row += queries;
    }
  },
);

test.run();
